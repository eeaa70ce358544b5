//! A value somewhere in an answer, read without a type of its own: what is absent or of
//! another kind is empty.

use serde_json::Value;

use crate::json::Lenient;
use crate::util::printable;

/// A value in an answer, which may be absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a>(Option<&'a Value>);

impl<'a> Node<'a> {
    pub(super) const fn new(value: &'a Value) -> Self {
        Self(Some(value))
    }

    /// The member of this name.
    pub(super) fn at(self, name: &str) -> Self {
        Self(self.0.and_then(|value| value.as_object()?.get(name)))
    }

    /// The items of an array.
    pub(super) fn items(self) -> impl Iterator<Item = Self> {
        let items = self.0.and_then(Value::as_array);
        items.into_iter().flatten().map(Self::new)
    }

    /// The members of an object, with their names.
    pub(super) fn members(self) -> impl Iterator<Item = (&'a str, Self)> {
        let members = self.0.and_then(Value::as_object).into_iter().flatten();
        members.map(|(name, value)| (name.as_str(), Self::new(value)))
    }

    pub(super) fn is_present(self) -> bool {
        self.0.is_some_and(|value| !value.is_null())
    }

    pub(super) fn is_true(self) -> bool {
        self.0.and_then(Value::as_bool).unwrap_or_default()
    }

    /// A text as it stands there; empty if there is none.
    pub(super) fn raw(self) -> &'a str {
        self.0.and_then(Value::as_str).unwrap_or_default()
    }

    /// A text without control characters, of at most this many bytes.
    pub(super) fn text(self, max_bytes: usize) -> String {
        printable(self.raw(), max_bytes)
    }

    /// A whole number, in any spelling.
    pub(super) fn number(self) -> Option<i64> {
        i64::of(self.0?.clone())
    }

    /// A number that is not negative, at most 2,147,483,647.
    pub(super) fn count(self) -> Option<i32> {
        let number = self.number()?.clamp(0, i64::from(i32::MAX));
        i32::try_from(number).ok()
    }
}
