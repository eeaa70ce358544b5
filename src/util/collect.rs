//! Sorting and collecting with less code than the standard library's own: it compiles a sort
//! of 4 kB for each kind of item, and another for each kind of map that is collected.

use std::cmp::Ordering;

/// The items in this order, equal ones as they were.
pub fn sorted_by<T>(items: Vec<T>, compare: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    let order = order(
        items.len(),
        &|one, other| match (items.get(one), items.get(other)) {
            (Some(one), Some(other)) => compare(one, other),
            _ => Ordering::Equal,
        },
    );
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    let taken = order.into_iter().filter_map(|at| items.get_mut(at)?.take());
    taken.collect()
}

/// The places of this many items, sorted: the one sort that there is.
fn order(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|one, other| compare(*one, *other));
    order
}

/// A map or set of these items, each put in by itself; of equal keys the last one counts.
pub fn gathered<C: Default + Extend<T>, T>(items: impl IntoIterator<Item = T>) -> C {
    let mut gathered = C::default();
    gathered.extend(items);
    gathered
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn equal_items_keep_their_order() {
        let items = vec![(2, 'a'), (1, 'b'), (2, 'c'), (0, 'd'), (1, 'e')];
        let sorted = sorted_by(items, |one, other| one.0.cmp(&other.0));
        assert_eq!(sorted, [(0, 'd'), (1, 'b'), (1, 'e'), (2, 'a'), (2, 'c')]);
        assert!(sorted_by(Vec::<u8>::new(), Ord::cmp).is_empty());
    }

    #[test]
    fn of_equal_keys_the_last_counts_as_with_collect() {
        let pairs = [("b", 1), ("a", 2), ("b", 3)];
        let gathered: BTreeMap<&str, i32> = gathered(pairs);
        assert_eq!(gathered, pairs.into_iter().collect());
    }
}
