//! From data to places along an axis: ranges, ticks, and how numbers are written.

/// A linear or logarithmic map of a range of data onto [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    pub log: bool,
}

impl Scale {
    /// Over the finite values of `data` (in logarithms the positive ones), or over `range` where one is asked for. An
    /// empty or single-valued range is widened, and so is, by 1/25, one that the data ask for; zero stays an end.
    pub fn over(data: impl Iterator<Item = f64>, range: Option<(f64, f64)>, log: bool) -> Scale {
        let usable = |value: &f64| value.is_finite() && (!log || *value > 0.0);
        let ends = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
        let (mut low, mut high) = match range {
            Some((low, high)) if usable(&low) && usable(&high) => (low.min(high), low.max(high)),
            _ => data.filter(usable).fold((f64::INFINITY, f64::NEG_INFINITY), ends),
        };
        if low > high {
            (low, high) = if log { (0.1, 1.0) } else { (0.0, 1.0) };
        }
        if log {
            if low == high {
                (low, high) = (low / 10.0, high * 10.0);
            } else if range.is_none() {
                let wider = (high / low).powf(0.04);
                (low, high) = (low / wider, high * wider);
            }
        } else if low == high {
            let half = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
            (low, high) = (low - half, high + half);
        } else if range.is_none() {
            let wider = 0.04 * (high - low);
            (low, high) =
                (if low == 0.0 { 0.0 } else { low - wider }, if high == 0.0 { 0.0 } else { high + wider });
        }
        Scale { low, high, log }
    }

    /// Where `value` lies: 0 at the low end, 1 at the high one, beyond both for what lies outside; NaN for what has no
    /// place, as 0 in logarithms.
    pub fn place(&self, value: f64) -> f64 {
        match self.log {
            true if value <= 0.0 => f64::NAN,
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        }
    }

    /// About `wanted` values at round numbers within the range, each with its text.
    pub fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        if self.log { self.log_ticks(wanted.max(2)) } else { self.linear_ticks(wanted.max(2)) }
    }

    fn linear_ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let rough = (self.high - self.low) / wanted as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .map(|round| round * power)
            .into_iter()
            .find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(10.0 * power);
        let slack = 1e-9 * (self.high - self.low);
        let first = ((self.low - slack) / step).ceil() as i64;
        let last = ((self.high + slack) / step).floor() as i64;
        (first..=last).map(|i| (i as f64 * step, number(i as f64 * step, step))).collect()
    }

    fn log_ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let inside = |value: &f64| (-1e-9..=1.0 + 1e-9).contains(&self.place(*value));
        let decades = || self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let of = |digits: &'static [f64]| {
            decades().flat_map(move |d| digits.iter().map(move |m| m * 10f64.powi(d)))
        };
        for digits in [&[1.0, 2.0, 3.0, 5.0, 7.0][..], &[1.0, 2.0, 5.0], &[1.0, 3.0]] {
            let values: Vec<f64> = of(digits).filter(inside).collect();
            if values.len() <= wanted.max(3) {
                return values.into_iter().map(|value| (value, number(value, value))).collect();
            }
        }
        let every = (decades().count() / wanted).max(1) as i32;
        let whole = decades().filter(|d| d % every == 0).map(|d| 10f64.powi(d));
        whole.filter(inside).map(|value| (value, number(value, value))).collect()
    }
}

/// `value` as people write it, with the decimals that a step between neighbours needs.
pub fn number(value: f64, step: f64) -> String {
    if value == 0.0 || value.abs() < 1e-9 * step.abs() {
        return "0".into();
    }
    if value.abs() >= 1e7 || step.abs() < 1e-4 {
        let exponent = value.abs().log10().floor() as i32;
        let digits = (value / 10f64.powi(exponent) * 1e3).round() / 1e3;
        let power = format!("10{}", superscript(exponent));
        return match digits {
            1.0 => power,
            -1.0 => format!("−{power}"),
            _ => format!("{}×{power}", minus(&digits.to_string())),
        };
    }
    let decimals = (0..=5).find(|d| {
        let scaled = step.abs() * 10f64.powi(*d);
        (scaled - scaled.round()).abs() < 1e-6 * scaled.max(1.0) && scaled > 0.5
    });
    let text = format!("{value:.*}", decimals.unwrap_or(5) as usize);
    minus(&grouped(&text))
}

/// With the sign that is as wide as a plus.
fn minus(text: &str) -> String {
    text.replace('-', "−")
}

/// 12000 as 12,000; four digits stay together.
fn grouped(text: &str) -> String {
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    if digits.len() < 5 {
        return text.into();
    }
    let mut out = String::from(sign);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

fn superscript(number: i32) -> String {
    let raised = |letter| match letter {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(0x2070 + digit as u32 - '0' as u32).unwrap_or(digit),
    };
    number.to_string().chars().map(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: Scale, wanted: usize) -> Vec<String> {
        scale.ticks(wanted).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let linear = |low, high| Scale { low, high, log: false };
        assert_eq!(texts(linear(0.0, 100.0), 5), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(texts(linear(0.0, 0.3), 6), ["0", "0.05", "0.10", "0.15", "0.20", "0.25", "0.30"]);
        assert_eq!(texts(linear(-1.0, 1.0), 4), ["−1.0", "−0.5", "0", "0.5", "1.0"]);
        assert_eq!(texts(linear(0.0, 20000.0), 4), ["0", "5000", "10,000", "15,000", "20,000"]);
        let log = |low, high| Scale { low, high, log: true };
        assert_eq!(texts(log(0.01, 100.0), 6), ["0.01", "0.1", "1", "10", "100"]);
        assert_eq!(texts(log(1.0, 10.0), 5), ["1", "2", "5", "10"]);
        assert_eq!(
            texts(log(1e-6, 1e8), 7),
            ["10⁻⁶", "0.0001", "0.01", "1", "100", "10,000", "1,000,000", "10⁸"]
        );
    }

    #[test]
    fn a_scale_covers_what_is_finite() {
        let scale = Scale::over([0.0, f64::NAN, 2.0, f64::INFINITY].into_iter(), None, false);
        assert_eq!((scale.low, scale.high), (0.0, 2.08));
        assert_eq!((scale.place(0.0), scale.place(1.04)), (0.0, 0.5));
        let log = Scale::over([0.0, 1.0, 100.0].into_iter(), Some((1.0, 100.0)), true);
        assert!((log.place(10.0) - 0.5).abs() < 1e-12 && log.place(0.0).is_nan());
        for empty in [Scale::over([].into_iter(), None, false), Scale::over([3.0].into_iter(), None, false)] {
            assert!(empty.low < empty.high && !empty.ticks(5).is_empty(), "{empty:?}");
        }
    }
}
