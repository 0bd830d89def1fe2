//! A drawing as SVG.
//!
//! Colours with a role also have a class (`ink`, `soft`, `faint`, `paper`, `series0`, ...; `-line` for strokes), so
//! that a page around the picture can set them; what the picture itself says is for white paper.

use std::fmt::Write;

use super::{Anchor, Colour, Drawing, Mark, Point, SERIES, Text, upright};

/// The document.
pub fn write(drawing: &Drawing) -> String {
    let (width, height) = (number(drawing.width), number(drawing.height));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"DejaVu Sans, Verdana, sans-serif\">\n\
         <title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\"{}/>\n",
        escape(&drawing.title),
        fill(Colour::Paper)
    );
    for mark in &drawing.marks {
        let line = match mark {
            Mark::Line { points, colour, width, dash } => {
                let dash = dash
                    .pattern(*width)
                    .map(|[on, off]| format!(" stroke-dasharray=\"{} {}\"", number(on), number(off)));
                format!(
                    "<polyline points=\"{}\" fill=\"none\"{} stroke-width=\"{}\" stroke-linejoin=\"round\"{}/>",
                    list(points),
                    stroke(*colour),
                    number(*width),
                    dash.unwrap_or_default()
                )
            }
            Mark::Area { points, colour, opacity } => {
                let opacity = (*opacity < 1.0).then(|| format!(" fill-opacity=\"{}\"", number(*opacity)));
                let crisp = if upright(points) { " shape-rendering=\"crispEdges\"" } else { "" };
                let (points, opacity) = (list(points), opacity.unwrap_or_default());
                format!("<polygon points=\"{points}\"{}{opacity}{crisp}/>", fill(*colour))
            }
            Mark::Disc { centre, radius, colour } => {
                let (x, y, r) = (number(centre.0), number(centre.1), number(*radius));
                format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\"{}/>", fill(*colour))
            }
            Mark::Text(text) => write_text(text),
            Mark::Image { at, size, image } => {
                let (x, y, width, height) = (number(at.0), number(at.1), number(size.0), number(size.1));
                format!(
                    "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" \
                     style=\"image-rendering:pixelated\" href=\"{}\"/>",
                    image.data_uri()
                )
            }
        };
        out.push_str(&line);
        out.push('\n');
    }
    out.push_str("</svg>\n");
    out
}

fn write_text(text: &Text) -> String {
    let (x, y) = (number(text.at.0), number(text.at.1));
    let anchor = match text.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let turn = if text.turned { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
    let bold = if text.bold { " font-weight=\"bold\"" } else { "" };
    let (size, fill, content) = (number(text.size), fill(text.colour), escape(&text.text));
    format!("<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{bold}{anchor}{turn}{fill}>{content}</text>")
}

fn role(colour: Colour) -> Option<String> {
    match colour {
        Colour::Ink => Some("ink".into()),
        Colour::Soft => Some("soft".into()),
        Colour::Faint => Some("faint".into()),
        Colour::Paper => Some("paper".into()),
        Colour::Series(n) => Some(format!("series{}", n % SERIES.len())),
        Colour::Rgb(_) => None,
    }
}

fn fill(colour: Colour) -> String {
    let class = role(colour).map(|role| format!(" class=\"{role}\"")).unwrap_or_default();
    format!(" fill=\"{}\"{class}", hex(colour))
}

fn stroke(colour: Colour) -> String {
    let class = role(colour).map(|role| format!(" class=\"{role}-line\"")).unwrap_or_default();
    format!(" stroke=\"{}\"{class}", hex(colour))
}

fn hex(colour: Colour) -> String {
    let [r, g, b] = colour.rgb();
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Two decimals, without zeros at the end.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

fn list(points: &[Point]) -> String {
    let mut out = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let gap = if i == 0 { "" } else { " " };
        let _ = write!(out, "{gap}{},{}", number(*x), number(*y)); // Writing to a text cannot fail.
    }
    out
}

/// `text` where markup is read: no character of it means anything else than itself.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What XML forbids.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_numbers_are_short() {
        let mut drawing = Drawing::new(100.0, 50.5, "a < b");
        drawing.text(Text::new((1.0, 2.25), "x & <y> \u{1}", 12.0, Anchor::Start));
        let svg = write(&drawing);
        assert!(svg.contains("<title>a &lt; b</title>"), "{svg}");
        assert!(svg.contains("x &amp; &lt;y&gt; \u{fffd}</text>"), "{svg}");
        assert!(svg.contains("viewBox=\"0 0 100 50.5\""), "{svg}");
        assert_eq!((number(-0.001), number(12.3456), number(3.0)), ("0".into(), "12.35".into(), "3".into()));
    }
}
