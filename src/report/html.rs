//! A page of sections: one HTML file that asks for nothing outside itself.

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

use crate::data::hex_sha256;
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
    /// The checksum of the file that the page shows; nothing where it shows several.
    pub of: String,
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

/// The name of [`Page::of`] in the file.
const OF: &str = "smoothenc-of";

/// The name of the page's own checksum in the file, and what stands for it where it is made.
const SEAL: &str = "smoothenc-page";
const UNSEALED: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Whether `html` is the file of a page that shows the file of this checksum, as it was written.
pub fn shows(html: &str, checksum: &str) -> bool {
    let of = format!("<meta name=\"{OF}\" content=\"{checksum}\">");
    let seal = format!("<meta name=\"{SEAL}\" content=\"");
    // Both stand at the file's start.
    let Some(at) = html.find(&seal).map(|at| at + seal.len()) else { return false };
    let Some(found) = html.get(at..at + UNSEALED.len()) else { return false };
    html[..at].contains(&of) && hex_sha256(html.replacen(found, UNSEALED, 1).as_bytes()) == found
}

impl Page {
    /// The file. Every text is escaped; images and pictures are in it.
    pub fn html(&self) -> String {
        let page = html! {
            (DOCTYPE) "\n"
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    @if !self.of.is_empty() {
                        meta name=(OF) content=(Plain(&self.of));
                        meta name=(SEAL) content=(UNSEALED);
                    }
                    title { (Plain(&self.title)) }
                    style { (PreEscaped(include_str!("page.css"))) }
                }
                "\n"
                body {
                    h1 { (Plain(&self.title)) } "\n"
                    @for line in &self.about { p.about { (Plain(line)) } "\n" }
                    @if !self.warning.is_empty() { p.warning role="note" { (Plain(&self.warning)) } "\n" }
                    @for Section { id, title, blocks } in &self.sections {
                        section id=(Plain(id)) {
                            h2 { (Plain(title)) } "\n"
                            @for block in blocks { (block) "\n" }
                        }
                        "\n"
                    }
                }
            }
            "\n"
        };
        let page = page.into_string();
        match self.of.is_empty() {
            true => page,
            false => page.replacen(UNSEALED, &hex_sha256(page.as_bytes()), 1),
        }
    }
}

/// A text, escaped as in the SVG: maud leaves apostrophes and control characters as they are.
struct Plain<'a>(&'a str);

impl Render for Plain<'_> {
    fn render_to(&self, out: &mut String) {
        out.push_str(&escape(self.0));
    }
}

impl Render for Block {
    fn render(&self) -> Markup {
        match self {
            Block::Text(text) => html! { p { (Plain(text)) } },
            Block::Charts(charts) => drawings("charts", charts),
            Block::Pictures(pictures) => drawings("pictures", pictures),
            Block::Strips { rows } => html! {
                figure {
                    @for (label, images) in rows.iter().filter(|(_, images)| !images.is_empty()) {
                        @let strip = Image::beside(images, 2);
                        div.strip {
                            span { (Plain(label)) }
                            img src=(strip.data_uri()) width=(strip.width()) height=(strip.height())
                                alt=(Plain(label));
                        }
                        "\n"
                    }
                }
            },
            Block::Table { heading, rows } => table("numbers", heading, rows),
            Block::Words { heading, rows } => table("words", heading, rows),
            Block::Settings(settings) => html! {
                table.settings {
                    tbody {
                        @for (name, value) in settings {
                            tr { td { (Plain(name)) } td { (Plain(value)) } } "\n"
                        }
                    }
                }
            },
        }
    }
}

fn drawings(class: &str, drawings: &[Drawing]) -> Markup {
    html! { div class=(class) { @for drawing in drawings { (PreEscaped(drawing.svg())) } } }
}

fn table(class: &str, heading: &[String], rows: &[Vec<String>]) -> Markup {
    // Each cell of words says its column's name, which a narrow window shows beside it.
    let label = |text| (class == "words").then_some(Plain(text));
    html! {
        div.scroll {
            table class=(class) {
                thead { tr { @for text in heading { th { (Plain(text)) } } } } "\n"
                tbody {
                    @for row in rows {
                        tr {
                            @for (name, text) in heading.iter().zip(row) {
                                td data-label=[label(name)] { (Plain(text)) }
                            }
                        }
                        "\n"
                    }
                }
            }
        }
    }
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
        let page = Page {
            title: bad.clone(),
            about: vec![bad.clone()],
            warning: bad,
            sections: vec![section],
            of: "0f".into(),
        };
        let html = page.html();
        assert!(shows(&html, "0f") && !shows(&html, "0e") && !shows(&html[..html.len() - 1], "0f"));
        assert!(!shows(&html.replacen("<h2>", "<h2> ", 1), "0f") && !shows("", "0f"));
        assert!(!html.contains("<script>") && !html.contains("&\"'"), "{html}");
        assert_eq!(html.matches("&lt;script&gt;&amp;&quot;&#39;").count(), 13, "{html}");
    }
}
