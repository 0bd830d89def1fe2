//! A drawing painted into pixels, from its SVG: so the two files show the same picture.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::fontdb::Source;
use resvg::usvg::{Options, Tree};

use super::Drawing;
use crate::error::{Error, Result};
use crate::report::font;
use crate::report::image::Image;

/// The program's own font and no other, so that a picture looks the same everywhere.
static OPTIONS: LazyLock<Options<'static>> = LazyLock::new(|| {
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    for bytes in [font::REGULAR_FILE, font::BOLD_FILE] {
        fonts.load_font_source(Source::Binary(Arc::new(bytes)));
    }
    options
});

/// The drawing on white paper, `scale` pixels for each of its own.
///
/// # Errors
/// [`Error::Run`] for one too large for memory.
pub fn paint(drawing: &Drawing, scale: f64) -> Result<Image> {
    let side = |length: f64| (length * scale).ceil().max(1.0) as u32;
    let (width, height) = (side(drawing.width), side(drawing.height));
    let refuse = |why: String| Error::run(format!("the picture {:?} {why}", drawing.title));
    let tree = Tree::from_str(&drawing.svg(), &OPTIONS)
        .map_err(|error| refuse(format!("cannot be painted: {error}")))?;
    let mut canvas = Pixmap::new(width, height)
        .ok_or_else(|| refuse(format!("is too large to paint: {width} x {height}")))?;
    // The drawing's own paper may end within the last pixels.
    canvas.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(scale as f32, scale as f32), &mut canvas.as_mut());
    let rgb = canvas.pixels().iter().flat_map(|p| [p.red(), p.green(), p.blue()]).collect();
    Ok(Image::new(width as usize, height as usize, rgb))
}

#[cfg(test)]
mod tests {
    use super::super::{Anchor, Colour, Dash, Mark, Text};
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
