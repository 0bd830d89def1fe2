//! What a mistyped name may have meant.

/// The name among `known` that `typed` is the fewest slips of the finger away from, where these are few: a letter left
/// out, put in, put in another's place, or two neighbours swapped.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase();
    let allowed = typed.chars().count().div_ceil(4).min(3);
    let slips = known.into_iter().map(|name| (slips(&typed, name), name));
    slips.min_by_key(|(slips, _)| *slips).filter(|(slips, _)| *slips <= allowed).map(|(_, name)| name)
}

/// The optimal string alignment distance.
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, _) | (_, 0) => i + j,
                _ => {
                    let other = usize::from(a[i - 1] != b[j - 1]);
                    let least = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + other);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped { least.min(rows[i - 2][j - 2] + 1) } else { least }
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_found() {
        let known = ["gamma", "learning-rate", "mnist", "color-mnist", "eps"];
        for (typed, meant) in [
            ("gama", "gamma"),
            ("gmama", "gamma"),
            ("lerning-rate", "learning-rate"),
            ("mnsit", "mnist"),
            ("MNIST", "mnist"),
            ("colour-mnist", "color-mnist"),
            ("esp", "eps"),
        ] {
            assert_eq!(nearest(typed, known), Some(meant));
        }
        for strange in ["flowers", "x", "", "fashion"] {
            assert_eq!(nearest(strange, known), None, "{strange}");
        }
    }
}
