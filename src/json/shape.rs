//! Shapes: the parts of a JSON value that are kept.

/// The part of a JSON value that is kept. `null` counts as absent everywhere. A value that
/// is not of its shape is left out, and costs the item it is a part of (see
/// [`Many`]), unless its shape is [`Shape::Lenient`]. An
/// empty list in place of an object, and the other way round, counts as absent, too.
#[derive(Debug)]
pub enum Shape {
    /// A string, a number or a boolean of at most this many bytes of JSON text.
    Scalar(usize),
    /// As [`Shape::Scalar`], but one that does not fit is as good as absent.
    Lenient(usize),
    /// Any value of at most this many bytes of JSON text, as it was sent.
    Whole(usize),
    /// As [`Shape::Whole`], but of a larger one it is kept that it is there, as
    /// `true`, and it is counted under this name.
    WholeOrPresent(usize, &'static str),
    /// Any value; only that it is there is kept, as `true`.
    Present,
    /// An object, and of its members only these. Of several members of one name
    /// the first counts.
    Object(&'static [(&'static str, Shape)]),
    /// An object with names that are not known beforehand.
    Map(&'static Many),
    /// An array.
    List(&'static Many),
}

/// Values of one kind, each kept or left out by itself.
#[derive(Debug)]
pub struct Many {
    /// The name under which left out items are counted.
    pub what: &'static str,
    /// The part of each that is kept.
    pub item: Shape,
    /// The largest item kept, in bytes of what is kept of it.
    pub size: usize,
    /// The most items kept.
    pub count: usize,
}
