//! A drawing painted into pixels.
//!
//! By hand rather than by resvg from the SVG: that was tried, and took 30 crates more (their build 2.8 times that of
//! wgpu-core) and 1.2 to 3.5 times as long a picture, for 110 lines less.

use tiny_skia::{
    Color, FillRule, FilterQuality, IntSize, LineJoin, Paint, Path, PathBuilder, Pixmap, PixmapPaint, Stroke,
    StrokeDash, Transform,
};
use ttf_parser::OutlineBuilder;

use super::{Colour, Drawing, Mark, Point, Text, upright};
use crate::error::{Error, Result};
use crate::report::font;
use crate::report::image::Image;

/// The drawing on white paper, `scale` pixels for each of its own.
///
/// # Errors
/// [`Error::Run`] for one too large for memory.
pub fn paint(drawing: &Drawing, scale: f64) -> Result<Image> {
    let side = |length: f64| (length * scale).ceil().max(1.0) as u32;
    let (width, height) = (side(drawing.width), side(drawing.height));
    let mut canvas = Pixmap::new(width, height).ok_or_else(|| {
        Error::run(format!("the picture {:?} is too large to paint: {width} x {height}", drawing.title))
    })?;
    canvas.fill(color(Colour::Paper, 1.0));
    let scaled = Transform::from_scale(scale as f32, scale as f32);
    for mark in &drawing.marks {
        match mark {
            Mark::Line { points, colour, width, dash } => {
                let dash =
                    dash.pattern(*width).and_then(|d| StrokeDash::new(d.map(|x| x as f32).to_vec(), 0.0));
                let (width, line_join) = (*width as f32, LineJoin::Round);
                let stroke = Stroke { width, line_join, dash, ..Stroke::default() };
                if let Some(path) = polygon(points, false) {
                    canvas.stroke_path(&path, &ink(*colour, 1.0), &stroke, scaled, None);
                }
            }
            Mark::Area { points, colour, opacity } => {
                if let Some(path) = polygon(points, true) {
                    let paint = Paint { anti_alias: !upright(points), ..ink(*colour, *opacity) };
                    canvas.fill_path(&path, &paint, FillRule::Winding, scaled, None);
                }
            }
            Mark::Disc { centre, radius, colour } => {
                let circle = PathBuilder::from_circle(centre.0 as f32, centre.1 as f32, *radius as f32);
                if let Some(path) = circle {
                    canvas.fill_path(&path, &ink(*colour, 1.0), FillRule::Winding, scaled, None);
                }
            }
            Mark::Text(text) => {
                if let Some(path) = letters(text) {
                    canvas.fill_path(&path, &ink(text.colour, 1.0), FillRule::Winding, scaled, None);
                }
            }
            Mark::Image { at, size, image } => paint_image(&mut canvas, *at, *size, image, scale),
        }
    }
    let rgb = canvas.pixels().iter().flat_map(|p| [p.red(), p.green(), p.blue()]).collect();
    Ok(Image::new(width as usize, height as usize, rgb))
}

fn color(colour: Colour, opacity: f64) -> Color {
    let [r, g, b] = colour.rgb();
    Color::from_rgba8(r, g, b, (opacity.clamp(0.0, 1.0) * 255.0).round() as u8)
}

fn ink(colour: Colour, opacity: f64) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(color(colour, opacity));
    paint
}

/// None where there is nothing to see, such as a line of one point.
fn polygon(points: &[Point], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        match i {
            0 => path.move_to(x as f32, y as f32),
            _ => path.line_to(x as f32, y as f32),
        }
    }
    if closed {
        path.close();
    }
    path.finish()
}

fn paint_image(canvas: &mut Pixmap, at: Point, size: (f64, f64), image: &Image, scale: f64) {
    let rgba = image.rgb().chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    let whole = IntSize::from_wh(image.width() as u32, image.height() as u32);
    let Some(pixels) = whole.and_then(|whole| Pixmap::from_vec(rgba, whole)) else { return };
    let stretch = |length: f64, pixels: usize| (length * scale / pixels as f64) as f32;
    let (sx, sy) = (stretch(size.0, image.width()), stretch(size.1, image.height()));
    let place = Transform::from_row(sx, 0.0, 0.0, sy, (at.0 * scale) as f32, (at.1 * scale) as f32);
    let paint = PixmapPaint { quality: FilterQuality::Nearest, ..PixmapPaint::default() };
    canvas.draw_pixmap(0, 0, pixels.as_ref(), &paint, place, None);
}

/// The text's letters at their place.
fn letters(text: &Text) -> Option<Path> {
    let mut pen = Pen { path: PathBuilder::new(), text, along: 0.0, unit: 0.0 };
    font::outline(&text.text, text.bold, &mut pen, |pen, along, unit| {
        (pen.along, pen.unit) = (along * text.size - text.before(), unit * text.size);
    });
    pen.path.finish()
}

/// Draws letters: from the font's units to the page.
struct Pen<'a> {
    path: PathBuilder,
    text: &'a Text,
    /// Where the letter starts, from the text's place along its baseline.
    along: f64,
    /// One of the font's units.
    unit: f64,
}

impl Pen<'_> {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        let (along, up) = (self.along + f64::from(x) * self.unit, f64::from(y) * self.unit);
        let (x, y) = self.text.at;
        match self.text.turned {
            false => ((x + along) as f32, (y - up) as f32),
            true => ((x - up) as f32, (y - along) as f32),
        }
    }
}

impl OutlineBuilder for Pen<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Anchor, Dash};
    use super::*;

    /// Rows and columns between which something dark was painted: (left, top, right, bottom).
    fn dark(image: &Image) -> (usize, usize, usize, usize) {
        let at = |i: usize| (i % image.width(), i / image.width());
        let found: Vec<_> =
            (0..image.width() * image.height()).filter(|i| image.rgb()[3 * i] < 128).map(at).collect();
        let of = |pick: fn(&(usize, usize)) -> usize| found.iter().map(pick);
        let (x, y) = (of(|p| p.0), of(|p| p.1));
        (x.clone().min().unwrap(), y.clone().min().unwrap(), x.max().unwrap(), y.max().unwrap())
    }

    #[test]
    fn a_text_lies_where_it_was_measured() {
        let mut drawing = Drawing::new(200.0, 100.0, "");
        let text = Text::new((100.0, 50.0), "HMH", 20.0, Anchor::Middle);
        let width = text.width();
        drawing.text(text.clone());
        let (left, top, right, bottom) = dark(&paint(&drawing, 1.0).unwrap());
        assert!((left as f64 - (100.0 - width / 2.0)).abs() < 4.0, "{left} {width}");
        assert!((right as f64 - (100.0 + width / 2.0)).abs() < 4.0, "{right}");
        assert!((34..37).contains(&top) && bottom == 49, "capitals of size 20 are 14.6 high: {top} {bottom}");
        // Turned, it reads upwards around the same point.
        let mut drawing = Drawing::new(200.0, 100.0, "");
        drawing.text(Text { turned: true, ..text });
        let (left, top, right, bottom) = dark(&paint(&drawing, 1.0).unwrap());
        assert!((84..88).contains(&left) && right == 99, "{left} {right}");
        assert!((bottom - top) as f64 > width - 8.0 && (top + bottom).abs_diff(99) < 3, "{top} {bottom}");
    }

    #[test]
    fn marks_have_their_colours_and_images_their_pixels() {
        let mut drawing = Drawing::new(40.0, 20.0, "");
        drawing.rectangle((0.0, 0.0), (10.0, 20.0), Colour::Series(1), 1.0);
        drawing.line(&[(10.0, 10.0), (20.0, 10.0)], Colour::Rgb([0, 0, 255]), 4.0, Dash::Solid);
        let image = Image::new(2, 1, vec![255, 0, 0, 0, 255, 0]);
        drawing.marks.push(Mark::Image { at: (20.0, 0.0), size: (20.0, 20.0), image });
        let painted = paint(&drawing, 2.0).unwrap();
        assert_eq!((painted.width(), painted.height()), (80, 40));
        let pixel = |x: usize, y: usize| painted.rgb()[3 * (80 * y + x)..][..3].to_vec();
        assert_eq!(pixel(5, 5), Colour::Series(1).rgb());
        assert_eq!(pixel(30, 20), [0, 0, 255]);
        assert_eq!(pixel(30, 2), [255; 3]);
        assert_eq!((pixel(58, 38), pixel(61, 1)), (vec![255, 0, 0], vec![0, 255, 0]));
    }
}
