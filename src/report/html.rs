//! A page of sections: one HTML file that asks for nothing outside itself.

use std::fmt::Write;

use crate::report::draw::{Drawing, escape};
use crate::report::image::Image;

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub title: String,
    /// Lines under the title.
    pub about: Vec<String>,
    /// What a reader must know before looking, or nothing.
    pub warning: String,
    pub sections: Vec<Section>,
}

/// A part of the page with a heading.
#[derive(Clone, Debug)]
pub struct Section {
    /// The section's name in the page's address.
    pub id: String,
    pub title: String,
    pub blocks: Vec<Block>,
}

/// What a section is made of.
#[derive(Clone, Debug)]
pub enum Block {
    Text(String),
    /// Side by side where there is room.
    Charts(Vec<Drawing>),
    /// Of their own sizes, where there is room.
    Pictures(Vec<Drawing>),
    /// Rows of equally large images, each with its label.
    Strips {
        rows: Vec<(String, Vec<Image>)>,
    },
    /// A heading and rows, of numbers but for the first column.
    Table {
        heading: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    /// A heading and rows of sentences.
    Words {
        heading: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    /// Names and their values.
    Settings(Vec<(String, String)>),
}

impl Section {
    /// A section with nothing in it yet.
    pub fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        Section { id: id.into(), title: title.into(), blocks: Vec::new() }
    }

    /// With a block more.
    pub fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// With a paragraph more.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.with(Block::Text(text.into()))
    }
}

impl Page {
    /// The file. Every text is escaped; images and pictures are in it.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let mut out = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>\n{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
            include_str!("page.css")
        );
        for line in &self.about {
            put(&mut out, format_args!("<p class=\"about\">{}</p>\n", escape(line)));
        }
        if !self.warning.is_empty() {
            put(&mut out, format_args!("<p class=\"warning\" role=\"note\">{}</p>\n", escape(&self.warning)));
        }
        for section in &self.sections {
            let title = escape(&section.title);
            put(&mut out, format_args!("<section id=\"{}\">\n<h2>{title}</h2>\n", escape(&section.id)));
            section.blocks.iter().for_each(|block| write_block(&mut out, block));
            out.push_str("</section>\n");
        }
        out.push_str("</body>\n</html>\n");
        out
    }
}

fn put(out: &mut String, text: std::fmt::Arguments) {
    let _ = out.write_fmt(text); // Writing to a text cannot fail.
}

fn write_block(out: &mut String, block: &Block) {
    match block {
        Block::Text(text) => put(out, format_args!("<p>{}</p>\n", escape(text))),
        Block::Charts(charts) => write_drawings(out, "charts", charts),
        Block::Pictures(pictures) => write_drawings(out, "pictures", pictures),
        Block::Strips { rows } => {
            out.push_str("<figure>\n");
            for (label, images) in rows.iter().filter(|(_, images)| !images.is_empty()) {
                let (label, strip) = (escape(label), Image::beside(images, 2));
                put(out, format_args!("<div class=\"strip\"><span>{label}</span>"));
                let (width, height) = (strip.width(), strip.height());
                put(
                    out,
                    format_args!(
                        "<img src=\"{}\" width=\"{width}\" height=\"{height}\" alt=\"{label}\"></div>\n",
                        strip.data_uri()
                    ),
                );
            }
            out.push_str("</figure>\n");
        }
        Block::Table { heading, rows } => write_table(out, "numbers", heading, rows),
        Block::Words { heading, rows } => write_table(out, "words", heading, rows),
        Block::Settings(settings) => {
            out.push_str("<table class=\"settings\">\n<tbody>\n");
            for (name, value) in settings {
                write_row(out, "td", &[name.clone(), value.clone()]);
            }
            out.push_str("</tbody>\n</table>\n");
        }
    }
}

fn write_drawings(out: &mut String, class: &str, drawings: &[Drawing]) {
    put(out, format_args!("<div class=\"{class}\">\n"));
    drawings.iter().for_each(|drawing| out.push_str(&drawing.svg()));
    out.push_str("</div>\n");
}

fn write_table(out: &mut String, class: &str, heading: &[String], rows: &[Vec<String>]) {
    put(out, format_args!("<div class=\"scroll\"><table class=\"{class}\">\n<thead>"));
    write_row(out, "th", heading);
    out.push_str("</thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        // Each cell says its column's name, which a narrow window shows beside it.
        for (label, text) in heading.iter().zip(row) {
            let (label, text) = (escape(label), escape(text));
            match class {
                "words" => put(out, format_args!("<td data-label=\"{label}\">{text}</td>")),
                _ => put(out, format_args!("<td>{text}</td>")),
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n");
}

fn write_row(out: &mut String, cell: &str, texts: &[String]) {
    out.push_str("<tr>");
    texts.iter().for_each(|text| put(out, format_args!("<{cell}>{}</{cell}>", escape(text))));
    out.push_str("</tr>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_escaped() {
        let bad = "<script>&\"'".to_string();
        let image = Image::new(1, 1, vec![0; 3]);
        let section = Section::new("one", &bad)
            .text(&bad)
            .with(Block::Strips { rows: vec![(bad.clone(), vec![image])] })
            .with(Block::Table { heading: vec![bad.clone()], rows: vec![vec![bad.clone()]] })
            .with(Block::Settings(vec![(bad.clone(), bad.clone())]))
            .with(Block::Charts(vec![Drawing::new(1.0, 1.0, &bad)]));
        let page =
            Page { title: bad.clone(), about: vec![bad.clone()], warning: bad, sections: vec![section] };
        let html = page.html();
        assert!(!html.contains("<script>") && !html.contains("&\"'"), "{html}");
        assert_eq!(html.matches("&lt;script&gt;&amp;&quot;&#39;").count(), 13, "{html}");
    }
}
