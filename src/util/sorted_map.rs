//! Maps and sets that are sorted lists. The standard library's B-tree compiles to 3 to 5 kB
//! for each kind of pair, these to half of one. They are for some hundred entries, at most
//! a few thousand: to put one in moves all that come after it.

use std::borrow::Borrow;

use super::collect::gathered;

/// A map with its keys in order, with the methods of a `BTreeMap` that are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortedMap<K, V>(Vec<(K, V)>);

/// A set in order, with the methods of a `BTreeSet` that are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortedSet<T>(Vec<T>);

impl<K, V> SortedMap<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The number of entries.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out all entries.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The entries, by their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The entries, by their keys; their values may be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, by their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values, by their keys, which may be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// The value of the last key.
    pub fn last(&self) -> Option<&V> {
        self.0.last().map(|(_, value)| value)
    }

    /// Takes out the entries for which this is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// The place of a key, or the place where it would be.
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0
            .binary_search_by(|(known, _)| known.borrow().cmp(key))
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.place(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The value of a key, which may be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.place(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Returns true if there is an entry of this key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Puts an entry in; returns the value that the key had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(at) => {
                let (_, before) = self.0.get_mut(at)?;
                Some(std::mem::replace(before, value))
            }
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes an entry out; returns its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.place(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// The value of a key, which is this one if it had none.
    pub fn or_insert_with(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        let (at, entry) = match self.place(&key) {
            // Put back at once: a place alone may be none, and would have to be handled.
            Ok(at) => (at, self.0.remove(at)),
            Err(at) => (at, (key, new())),
        };
        &mut self.0.insert_mut(at, entry).1
    }

    /// The value of a key, which is the default if it had none.
    pub fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.or_insert_with(key, V::default)
    }
}

impl<T> SortedSet<T> {
    /// An empty set.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The number of items.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there is no item.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out all items.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The first item.
    pub fn first(&self) -> Option<&T> {
        self.0.first()
    }

    /// The items in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// Takes out the items for which this is false.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.0.retain(keep);
    }
}

impl<T: Ord> SortedSet<T> {
    /// The place of an item, or the place where it would be.
    fn place<Q: Ord + ?Sized>(&self, item: &Q) -> Result<usize, usize>
    where
        T: Borrow<Q>,
    {
        self.0.binary_search_by(|known| known.borrow().cmp(item))
    }

    /// Returns true if the item is in it.
    pub fn contains<Q: Ord + ?Sized>(&self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.place(item).is_ok()
    }

    /// Puts an item in; returns true if it was not in it.
    pub fn insert(&mut self, item: T) -> bool {
        match self.place(&item) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, item);
                true
            }
        }
    }

    /// Takes an item out; returns true if it was in it.
    pub fn remove<Q: Ord + ?Sized>(&mut self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let place = self.place(item);
        if let Ok(at) = place {
            self.0.remove(at);
        }
        place.is_ok()
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Of equal keys the last one counts.
impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<T: Ord> Extend<T> for SortedSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.insert(item);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        gathered(entries)
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        gathered(items)
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for SortedMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        gathered(entries)
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for SortedSet<T> {
    fn from(items: [T; N]) -> Self {
        gathered(items)
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T> IntoIterator for SortedSet<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a SortedSet<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Numbers that come again and again, in no order.
    fn numbers() -> impl Iterator<Item = u32> {
        (0..500_u32).map(|step| step.wrapping_mul(2_654_435_761) >> 26)
    }

    #[test]
    fn a_map_does_what_a_b_tree_does() {
        let (mut map, mut tree) = (SortedMap::new(), BTreeMap::new());
        for (step, key) in numbers().enumerate() {
            match step % 5 {
                0 => assert_eq!(map.remove(&key), tree.remove(&key)),
                1 => {
                    *map.or_default(key) += step;
                    *tree.entry(key).or_default() += step;
                }
                _ => assert_eq!(map.insert(key, step), tree.insert(key, step)),
            }
            assert_eq!(map.get(&key), tree.get(&key));
            assert_eq!(map.contains_key(&key), tree.contains_key(&key));
            assert_eq!(map.get_mut(&key), tree.get_mut(&key));
            assert!(map.iter().eq(&tree));
            assert_eq!(map.last(), tree.last_key_value().map(|(_, value)| value));
            assert_eq!((map.len(), map.is_empty()), (tree.len(), tree.is_empty()));
        }
        let is_kept = |key: &u32, value: &mut usize| {
            *value += 1;
            key.is_multiple_of(3)
        };
        map.retain(is_kept);
        tree.retain(is_kept);
        assert!(map.keys().eq(tree.keys()));
        assert!(map.values().eq(tree.values()));
        assert!(map.values_mut().eq(tree.values_mut()));
        assert!(map.iter_mut().eq(&mut tree));
        assert!(map.clone().into_iter().eq(tree));
        map.clear();
        assert_eq!(map, SortedMap::default());
    }

    #[test]
    fn a_set_does_what_a_b_tree_does() {
        let (mut set, mut tree) = (SortedSet::new(), BTreeSet::new());
        for (step, item) in numbers().enumerate() {
            match step % 3 {
                0 => assert_eq!(set.remove(&item), tree.remove(&item)),
                _ => assert_eq!(set.insert(item), tree.insert(item)),
            }
            assert_eq!(set.contains(&item), tree.contains(&item));
            assert!(set.iter().eq(&tree));
            assert_eq!(set.first(), tree.first());
            assert_eq!((set.len(), set.is_empty()), (tree.len(), tree.is_empty()));
        }
        set.retain(|item| item % 3 == 0);
        tree.retain(|item| item % 3 == 0);
        assert!((&set).into_iter().eq(&tree));
        assert!(set.clone().into_iter().eq(tree));
        set.clear();
        assert_eq!(set, SortedSet::default());
    }

    #[test]
    fn keys_are_found_by_what_they_are_borrowed_as() {
        let map = SortedMap::from([("b".to_owned(), 1), ("a".to_owned(), 2)]);
        assert_eq!((map.get("a"), map.get("c")), (Some(&2), None));
        let set = SortedSet::from(["b".to_owned(), "a".to_owned()]);
        assert!(set.contains("a") && !set.contains("c"));
    }

    #[test]
    fn of_equal_keys_the_last_counts_and_what_is_there_is_not_made_anew() {
        let pairs = [("b", 1), ("a", 2), ("b", 3)];
        let mut map: SortedMap<_, _> = pairs.into_iter().collect();
        assert_eq!(map, SortedMap::from([("a", 2), ("b", 3)]));
        assert_eq!(*map.or_insert_with("a", || 9), 2);
        assert_eq!(*map.or_insert_with("c", || 9), 9);
        let set: SortedSet<_> = ["b", "a", "b"].into_iter().collect();
        assert_eq!(set, SortedSet::from(["a", "b"]));
    }
}
