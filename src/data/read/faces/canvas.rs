//! A picture that soft-edged shapes are painted on.

use image::{Rgb, RgbImage};

/// Red, green and blue in [0, 1].
pub type Color = [f32; 3];

/// `a` for `t` = 0, `b` for 1.
pub fn mix(a: Color, b: Color, t: f32) -> Color {
    std::array::from_fn(|c| a[c] + t * (b[c] - a[c]))
}

/// A point or a pair of half-axes, in pixels from the upper left corner.
pub type Point = [f32; 2];

/// Pixels, row after row.
#[derive(Debug, Clone)]
pub struct Canvas {
    pub width: usize,
    pub height: usize,
    pixels: Vec<Color>,
}

impl Canvas {
    pub fn new(width: usize, height: usize, color: Color) -> Self {
        Canvas { width, height, pixels: vec![color; width * height] }
    }

    /// Paints `color` over as much of every pixel as `cover` says, in [0, 1], of its middle.
    pub fn shade(&mut self, color: Color, cover: impl Fn(Point) -> f32) {
        self.shade_within([0.0; 2], [self.width as f32, self.height as f32], color, cover);
    }

    /// [`Self::shade`] where nothing is covered outside of a rectangle.
    fn shade_within(&mut self, low: Point, high: Point, color: Color, cover: impl Fn(Point) -> f32) {
        // Numbers below 0 become 0.
        let columns = low[0] as usize..(high[0].ceil() as usize).min(self.width);
        for y in low[1] as usize..(high[1].ceil() as usize).min(self.height) {
            for x in columns.clone() {
                let share = cover([x as f32 + 0.5, y as f32 + 0.5]);
                if share > 0.0 {
                    let pixel = &mut self.pixels[y * self.width + x];
                    *pixel = mix(*pixel, color, share.min(1.0));
                }
            }
        }
    }

    /// Paints the inside of a shape, where the `distance` to its edge is below 0, with an edge one pixel wide.
    pub fn fill(&mut self, color: Color, alpha: f32, distance: impl Fn(Point) -> f32) {
        self.shade(color, edge(alpha, distance));
    }

    pub fn ellipse(&mut self, color: Color, alpha: f32, middle: Point, axes: Point) {
        // The distance is one of the short axis' scale, so the soft edge is wider along the long one.
        let margin = 1.0 + axes[0].max(axes[1]) / axes[0].min(axes[1]);
        let [low, high] = [-1.0, 1.0].map(|side| [0, 1].map(|i| middle[i] + side * (axes[i] + margin)));
        self.shade_within(low, high, color, edge(alpha, ellipse(middle, axes)));
    }

    /// A line through `points` with round ends.
    pub fn stroke(&mut self, color: Color, alpha: f32, points: &[Point], width: f32) {
        let distance = |at| {
            let to = |pair: &[Point]| to_segment(at, pair[0], pair[1]);
            points.windows(2).map(to).fold(f32::INFINITY, f32::min) - 0.5 * width
        };
        let margin = 0.5 * width + 1.0;
        let low = [0, 1].map(|i| points.iter().map(|p| p[i]).fold(f32::INFINITY, f32::min) - margin);
        let high = [0, 1].map(|i| points.iter().map(|p| p[i]).fold(0.0, f32::max) + margin);
        self.shade_within(low, high, color, edge(alpha, distance));
    }

    /// Each pixel becomes the mean of the square of side `2 radius + 1` around it.
    pub fn blur(&mut self, radius: usize) {
        let before = self.pixels.clone();
        for (i, pixel) in self.pixels.iter_mut().enumerate() {
            let (x, y) = (i % self.width, i / self.width);
            let (mut sum, mut count) = ([0.0; 3], 0.0);
            for v in y.saturating_sub(radius)..(y + radius + 1).min(self.height) {
                for u in x.saturating_sub(radius)..(x + radius + 1).min(self.width) {
                    (0..3).for_each(|c| sum[c] += before[v * self.width + u][c]);
                    count += 1.0;
                }
            }
            *pixel = sum.map(|sum: f32| sum / count);
        }
    }

    /// In three bytes a pixel.
    pub fn picture(&self) -> RgbImage {
        RgbImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            let pixel = self.pixels[y as usize * self.width + x as usize];
            Rgb(pixel.map(|c| (255.0 * c.clamp(0.0, 1.0)).round() as u8))
        })
    }
}

/// How much of a pixel is covered by a shape, `distance` from its edge.
fn edge(alpha: f32, distance: impl Fn(Point) -> f32) -> impl Fn(Point) -> f32 {
    move |at| alpha * (0.5 - distance(at)).clamp(0.0, 1.0)
}

/// About the distance to an ellipse, exact on it and on its axes.
pub fn ellipse([x, y]: Point, [a, b]: Point) -> impl Fn(Point) -> f32 {
    move |at| {
        let (u, v) = ((at[0] - x) / a, (at[1] - y) / b);
        (u.hypot(v) - 1.0) * a.min(b)
    }
}

/// The distance from `at` to the line between `from` and `to`.
fn to_segment(at: Point, from: Point, to: Point) -> f32 {
    let (d, p) = ([to[0] - from[0], to[1] - from[1]], [at[0] - from[0], at[1] - from[1]]);
    let length = (d[0] * d[0] + d[1] * d[1]).max(1e-6);
    let t = ((p[0] * d[0] + p[1] * d[1]) / length).clamp(0.0, 1.0);
    (p[0] - t * d[0]).hypot(p[1] - t * d[1])
}

/// Points of the parabola from `[middle - half, y]` over `[middle, y + drop]` to `[middle + half, y]`.
pub fn arc([middle, y]: Point, half: f32, drop: f32) -> Vec<Point> {
    (-6..=6)
        .map(|i| {
            let t = i as f32 / 6.0;
            [middle + t * half, y + drop * (1.0 - t * t)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_cover_what_they_enclose() {
        let mut canvas = Canvas::new(40, 30, [0.0; 3]);
        canvas.ellipse([1.0, 0.0, 0.0], 1.0, [20.0, 15.0], [10.0, 5.0]);
        let red = canvas.pixels.iter().map(|p| p[0]).sum::<f32>();
        assert!((red - std::f32::consts::PI * 50.0).abs() < 8.0, "{red}");
        let mut canvas = Canvas::new(40, 30, [0.0; 3]);
        canvas.stroke([0.0, 1.0, 0.0], 0.5, &[[10.0, 15.0], [30.0, 15.0]], 4.0);
        let green = canvas.pixels.iter().map(|p| p[1]).sum::<f32>();
        assert!((green - 0.5 * (80.0 + std::f32::consts::PI * 4.0)).abs() < 2.0, "{green}");
        let whole: f32 = canvas.pixels.iter().map(|p| p[1]).sum();
        canvas.blur(2);
        assert!((canvas.pixels.iter().map(|p| p[1]).sum::<f32>() - whole).abs() < 1e-2 * whole);
    }
}
