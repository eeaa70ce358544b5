//! The word that was meant where one was mistyped.

/// The longest word that is compared, in characters.
const LONGEST: usize = 64;

/// The most letters that may be wrong, missing, too many or swapped with their neighbour.
const MOST_SLIPS: usize = 2;

/// The word among `known` that `word` is a slip of: the nearest, the first of several, if at
/// most two letters differ and at least half of its own are right. Letters of another case
/// are the same.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word
        .chars()
        .take(LONGEST)
        .flat_map(char::to_lowercase)
        .collect();
    let slips = known.into_iter().filter_map(|candidate| {
        let letters: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
        if letters.len() > LONGEST || letters.len().abs_diff(word.len()) > MOST_SLIPS {
            return None;
        }
        let slips = distance(&word, &letters);
        (slips <= MOST_SLIPS && slips * 2 <= letters.len()).then_some((slips, candidate))
    });
    let (_, candidate) = slips.min_by_key(|(slips, _)| *slips)?;
    Some(candidate)
}

/// The optimal string alignment distance: insertions, deletions, substitutions, and swaps of
/// neighbours.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let mut swapped = None;
    for (row, a) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        let mut left = row + 1;
        let mut previous = None;
        for (column, (b, (diagonal, above))) in other
            .iter()
            .zip(last.iter().zip(last.iter().skip(1)))
            .enumerate()
        {
            let mut least = (diagonal + usize::from(a != b))
                .min(above + 1)
                .min(left + 1);
            if swapped == Some(b)
                && previous == Some(a)
                && let Some(before) = column.checked_sub(1).and_then(|at| before_last.get(at))
            {
                least = least.min(before + 1);
            }
            current.push(least);
            left = least;
            previous = Some(b);
        }
        before_last = std::mem::replace(&mut last, current);
        swapped = Some(a);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, wanted) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("max", "max", 0),
            ("mxa", "max", 1),
            ("maxFro", "maxFor", 1),
            ("kitten", "sitting", 3),
            ("abcd", "badc", 2),
            ("ca", "abc", 3),
        ] {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(
                distance(&letters(one), &letters(other)),
                wanted,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn the_nearest_word_is_the_one_that_was_meant() {
        let known = ["max", "maxFor", "name", "namespace", "for"];
        for (word, meant) in [
            ("mx", Some("max")),
            ("maxfor", Some("maxFor")),
            ("nmae", Some("name")),
            ("namespaces", Some("namespace")),
            ("replicas", None),
            ("fo", Some("for")),
            ("x", None),
            ("", None),
            (&"a".repeat(1000), None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
