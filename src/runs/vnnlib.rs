//! Properties for verifiers of networks, in the form of the competition VNN-COMP (vnnlib.org): an image's ball, and the
//! answers that must not come out of it.

use std::fmt::Write;

/// The seconds that `instances.csv` gives a verifier for each property.
const TIMEOUT: u32 = 300;

/// The property that no point of the L-infinity ball of `radius` around the image `x`, cut to [0, 1], is given another
/// class than `label`: the file asks for a point that is. `about` is one line on what it is.
pub fn property(about: &str, x: &[f32], label: usize, classes: usize, radius: f64) -> String {
    let mut text = format!("; {about}\n");
    for (name, count) in [("X", x.len()), ("Y", classes)] {
        (0..count).for_each(|i| _ = writeln!(text, "(declare-const {name}_{i} Real)"));
    }
    for (i, x) in x.iter().enumerate() {
        let (low, high) = ((f64::from(*x) - radius).max(0.0), (f64::from(*x) + radius).min(1.0));
        let (low, high) = (real(low), real(high));
        _ = write!(text, "(assert (>= X_{i} {low}))\n(assert (<= X_{i} {high}))\n");
    }
    text += "(assert (or\n";
    for other in (0..classes).filter(|&class| class != label) {
        _ = writeln!(text, "    (and (>= Y_{other} Y_{label}))");
    }
    text + "))\n"
}

/// A number as a decimal with a point, without an exponent, which some readers do not know.
fn real(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.1}") } else { value.to_string() }
}

/// `instances.csv`: for each property a line of network, property and seconds, with paths from the file's folder.
pub fn instances<'a>(network: &str, properties: impl Iterator<Item = &'a String>) -> String {
    properties.map(|property| format!("{network},{property},{TIMEOUT}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_the_ball_in_the_box_and_every_other_class() {
        let text = property("an image", &[0.0, 1.0, 0.5], 1, 3, 0.125);
        let wanted = "; an image
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const X_2 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(declare-const Y_2 Real)
(assert (>= X_0 0.0))
(assert (<= X_0 0.125))
(assert (>= X_1 0.875))
(assert (<= X_1 1.0))
(assert (>= X_2 0.375))
(assert (<= X_2 0.625))
(assert (or
    (and (>= Y_0 Y_1))
    (and (>= Y_2 Y_1))
))
";
        assert_eq!(text, wanted);
        let lines = instances("../a.onnx", ["a.vnnlib".to_string(), "b.vnnlib".to_string()].iter());
        assert_eq!(lines, "../a.onnx,a.vnnlib,300\n../a.onnx,b.vnnlib,300\n");
    }
}
