//! What fuzzing feeds (docs/testing.md): for each reader of files a function that takes any bytes at all. It must not
//! panic, and what it accepts must come out the same once it is written and read again.
//!
//! The package in `fuzz/` calls them with what libFuzzer makes up; a test calls them with the inputs in `fuzz/corpus`.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{Cursor, Read, Write};
use std::path::{Component, Path};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::cli::divergence;
use crate::data::read::celeba::lists;
use crate::data::read::container::{self, Input};
use crate::data::read::npz::{self, npy};
use crate::data::read::{idx, jpeg, picture};
use crate::engine::device::gpu::tune;
use crate::error::Result;
use crate::method::tabular;
use crate::method::vae::Vae;
use crate::runs::config::Config;
use crate::runs::network::{Layer, Network};
use crate::runs::record::RunRecord;
use crate::runs::sweep::read as grid_file;
use crate::runs::{change, checkpoint, foreign, identity, metrics, numpy, onnx};

/// Feeds a reader.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its folder in `fuzz/corpus` and of its program in `fuzz/`.
pub const TARGETS: [(&str, Target); 16] = [
    ("idx", idx),
    ("gzip", gzip),
    ("npz", npz),
    ("npy", npy),
    ("safetensors", safetensors),
    ("settings", settings),
    ("grid", grid),
    ("lists", lists),
    ("divergence", divergence),
    ("record", record),
    ("metrics", metrics),
    ("changes", changes),
    ("tuning", tuning),
    ("parts", parts),
    ("photo", photo),
    ("onnx", onnx),
];

/// Feeds the target of this name.
///
/// # Panics
/// Where the reader has a fault, or there is no such target.
pub fn feed(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    target(bytes);
}

/// What an archive unpacks to is looked at up to here.
const MOST_UNPACKED: u64 = 1 << 22;

/// Errors name files, so readers are told one.
fn place() -> &'static Path {
    Path::new("fuzzed")
}

fn input(bytes: &[u8]) -> Input {
    Input { path: place().into(), bytes: Some(Cow::Owned(bytes.to_vec())) }
}

/// An IDX file, as images, as images to be scaled, and as labels of as many images as it has labels.
fn idx(bytes: &[u8]) {
    let looked = idx::look(&input(bytes), None);
    if let Ok(images) = looked.and_then(|_| idx::read_images(&input(bytes), None)) {
        let pixels = &*images.bytes().expect("pixels in memory");
        assert_eq!(pixels.len(), images.count * images.height * images.width);
        if bytes.starts_with(&[0, 0]) {
            let sides = [images.count, images.height, images.width];
            let sides = sides.map(|side| u32::try_from(side).expect("a side of 32 bits").to_be_bytes());
            assert_eq!([&[0, 0, 8, 3], sides.as_flattened(), pixels].concat(), bytes);
        }
        // Pictures that cannot grow beyond measure.
        if images.count <= 64 {
            let scaled = idx::read_images(&input(bytes), Some(9)).expect("scaling refuses nothing");
            assert_eq!(
                (scaled.count, scaled.bytes().expect("pixels in memory").len()),
                (images.count, 81 * images.count)
            );
        }
    }
    if let Some(&[a, b, c, d]) = bytes.get(4..8) {
        let count = u32::from_be_bytes([a, b, c, d]) as usize;
        if let Ok(labels) = idx::read_labels(&input(bytes), (place(), count)) {
            assert_eq!(labels.len(), count);
        }
    }
}

/// A file that may be packed. What this program unpacks, flate2's own reader of several members unpacks to the same.
fn gzip(bytes: &[u8]) {
    let source = input(bytes);
    let Ok(opened) = container::open(&source) else { return };
    _ = opened.check_promise(&source.path, 16, 1 << 20);
    let mut content = Vec::new();
    if opened.reader.take(MOST_UNPACKED).read_to_end(&mut content).is_err() {
        return;
    }
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        assert_eq!(content, bytes[..bytes.len().min(MOST_UNPACKED as usize)]);
        return;
    }
    let mut theirs = Vec::new();
    if MultiGzDecoder::new(bytes).take(MOST_UNPACKED).read_to_end(&mut theirs).is_ok() {
        assert_eq!(content, theirs);
    }
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = packer.write_all(&content).and_then(|()| packer.finish()).expect("packing into memory");
    let source = input(&packed);
    // What is a page or another container once it is unpacked was refused above.
    let mut again = Vec::new();
    let opened = container::open(&source).expect("what was packed here opens");
    opened.reader.take(MOST_UNPACKED).read_to_end(&mut again).expect("what was packed here unpacks");
    assert_eq!(content, again);
}

/// A set in an archive of numpy's: the bytes themselves, or one made of four parts of them, whose checksums are right.
fn npz(bytes: &[u8]) {
    if !bytes.starts_with(b"PK") && bytes.len() >= 6 {
        let (lengths, mut rest) = bytes.split_at(6);
        let mut part = |i: usize| {
            let length = usize::from(u16::from_le_bytes([lengths[2 * i], lengths[2 * i + 1]]));
            let (part, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            part.to_vec()
        };
        let parts = [("x_train", part(0)), ("y_train", part(1)), ("x_test", part(2))];
        let parts = [&parts[..], &[("y_test", rest.to_vec())]].concat();
        npz(&numpy::npz(&parts).expect("an archive in memory"));
        return;
    }
    _ = npz::decode(place(), bytes, Some(5));
    let Ok(set) = npz::decode(place(), bytes, None) else { return };
    for split in [&set.train, &set.test] {
        assert!(split.images.count == split.labels[0].len() && split.images.count > 0);
    }
}

/// An array of numpy's: the header is one that can be written again.
fn npy(bytes: &[u8]) {
    let Ok(array) = npy::read_header(&mut Cursor::new(bytes)) else { return };
    let letter = match array.element {
        npy::Element::Unsigned(_) => 'u',
        npy::Element::Signed(_) => 'i',
        npy::Element::Float(_) => 'f',
    };
    let descr = format!("<{letter}{}", array.element.bytes());
    let again = numpy::npy(&descr, &array.shape, &[]);
    let again = npy::read_header(&mut Cursor::new(&again)).expect("a header of our own");
    assert_eq!((again.element, &again.shape, again.bytes()), (array.element, &array.shape, array.bytes()));
    if bytes.len() >= 8 {
        let raw = &bytes[..array.element.bytes()];
        _ = (array.integer(raw), array.float(raw));
    }
}

/// The images that networks are read for.
const IMAGE: [usize; 3] = [1, 4, 4];

/// A network in ONNX's format.
fn onnx(bytes: &[u8]) {
    network(onnx::decode(place(), bytes, IMAGE));
}

/// A network that was read is a chain, with a weight for each of its names.
fn network(read: Result<Network>) {
    let Ok(network) = read else { return };
    let mut width = IMAGE.iter().product();
    for Layer { map, weight, bias, .. } in &network.layers {
        assert_eq!(map.widths().0, width);
        assert_eq!((weight.len(), bias.len()), (map.weight_shape().iter().product(), map.weight_shape()[0]));
        assert!(weight.iter().chain(bias).all(|value| value.is_finite()));
        width = map.widths().1;
    }
    assert_eq!(network.outputs(), width);
    let vae = Vae::encoder_alone(network.stack());
    assert_eq!((vae.encoder.inputs(), vae.latent), (IMAGE.iter().product(), width));
    assert_eq!(network.tensors(&vae.layout).len(), vae.layout.entries().len());
}

/// A model or a checkpoint, or another tool's network.
fn safetensors(bytes: &[u8]) {
    network(foreign::safetensors::decode(place(), bytes, IMAGE));
    let peeked = checkpoint::peek_at(place(), bytes);
    let Ok((tensors, metadata)) = checkpoint::decode(place(), bytes) else {
        assert!(checkpoint::decode_sealed(place(), bytes).is_err());
        return;
    };
    let sealed = checkpoint::decode_sealed(place(), bytes);
    assert!(sealed.is_err() || peeked.is_ok());
    if let (Ok(peeked), Ok((_, sealed))) = (peeked, sealed) {
        assert_eq!(peeked, sealed);
    }
    _ = identity::check_settings(&metadata, place(), &Config::default());
    let written = checkpoint::encode(&tensors, &metadata).expect("what was read can be written");
    let (again, theirs) = checkpoint::decode(place(), &written).expect("what was written can be read");
    assert_eq!(metadata, theirs);
    // By their bytes: a NaN is not equal to itself.
    assert_eq!(checkpoint::encode(&again, &theirs).expect("again"), written);
}

/// A file of settings.
fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(config) = Config::from_toml(text, "fuzzed", &Config::default()) else { return };
    let valid = config.validate().is_ok();
    let Ok(written) = config.to_toml() else { return };
    let again =
        Config::from_toml(&written, "fuzzed", &Config::default()).expect("settings that were written");
    assert_eq!(again.to_toml().expect("settings that were read"), written);
    _ = (config.flat(), config.title(), config.hash().expect("a hash of what can be written"));
    let fixed = identity::fixed_settings(&config).expect("what can be written");
    let metadata = [(checkpoint::SETTINGS.to_string(), fixed)].into();
    if valid {
        identity::check_settings(&metadata, place(), &again).expect("settings fit themselves");
        _ = (config.step_size(), config.convolutions([1, 28, 28]), config.attack.attacked(60));
    }
}

/// A file of a grid.
fn grid(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(grid) = grid_file::parse(text, "fuzzed", "cpu") {
        assert!(!grid.is_empty() && grid.radii.contains(&grid.radius) && grid.axes.len() < 100);
    }
}

/// CelebA's two lists, one after the other with a line of `---` between; each as text and as CSV.
fn lists(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (attributes, partition) = text.split_once("\n---\n").unwrap_or((text, text));
    for csv in [[false, false], [true, true], [true, false]] {
        let Ok(photos) = lists::parse((attributes, csv[0]), (partition, csv[1])) else { continue };
        let names: BTreeSet<&str> = photos.iter().map(|photo| photo.name.as_str()).collect();
        assert_eq!(names.len(), photos.len());
        // Each becomes part of a path.
        assert!(names.iter().all(|name| {
            let mut parts = Path::new(name).components();
            matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
        }));
        // As the text form has it.
        let mut written = format!("{}\n{}\n", photos.len(), lists::ATTRIBUTES.join(" "));
        let mut parts = String::new();
        for photo in &photos {
            let marks = (0..lists::ATTRIBUTES.len()).map(|i| if photo.has(i) { "1" } else { "-1" });
            let marks = marks.collect::<Vec<_>>().join(" ");
            written += &format!("{} {marks}\n", photo.name);
            parts += &format!("{} {}\n", photo.name, photo.part as u8);
        }
        let again = lists::parse((&written, false), (&parts, false)).expect("lists that were written");
        assert_eq!(again, photos);
    }
}

/// A document for `divergence`.
fn divergence(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(output) = divergence::evaluate(text, None) else { return };
    let output: serde_json::Value = serde_json::from_str(&output).expect("JSON comes out");
    assert!(output.as_object().is_some_and(|lists| !lists.is_empty()));
}

/// The record of a run.
fn record(bytes: &[u8]) {
    let Ok(record) = RunRecord::parse(place(), bytes) else { return };
    let config = Config::default();
    _ = (record.remarks(), record.has_own_probes(), record.shown(&config));
    _ = record.as_configured(&config.attack, None);
    // Percentages are rounded where they are written, and overflow then.
    let Ok(written) = record.to_json() else { return };
    let again = RunRecord::parse(place(), written.as_bytes()).expect("a record that was written");
    assert_eq!(again.to_json().expect("a record that was read"), written);
}

/// The lines of a run's metrics.
fn metrics(bytes: &[u8]) {
    let Ok(all) = metrics::whole_lines(place(), bytes, u64::MAX) else { return };
    assert!(bytes.starts_with(&all));
    for step in [0, 100] {
        let kept = metrics::whole_lines(place(), bytes, step).expect("lines that read");
        assert_eq!(metrics::whole_lines(place(), &kept, step).expect("lines that were kept"), kept);
    }
}

/// The list of a change that was interrupted: no name leads out of the run.
fn changes(bytes: &[u8]) {
    let Ok(names) = change::names(place(), bytes) else { return };
    for name in names {
        assert!(name.components().all(|part| matches!(part, Component::Normal(_))), "{name:?}");
        assert!(name.components().next().is_some(), "a name that is none");
    }
}

/// Which variants of kernels were the fastest.
fn tuning(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(devices) = tune::parse(text) else { return };
    let written = serde_json::to_string_pretty(&devices).expect("texts can be written");
    assert_eq!(tune::parse(&written).expect("texts that were written"), devices);
}

/// What `reproduce` keeps of a claim's tables.
fn parts(bytes: &[u8]) {
    let Ok(found) = serde_json::from_slice::<tabular::Outcome>(bytes) else { return };
    let settings = tabular::Settings { observations: 3, codes: 2, ..tabular::Settings::default() };
    if found.is_whole(&settings) {
        assert!(found.encoder.len() == 3 && found.decoder.len() == 2);
    }
}

/// A photograph.
fn photo(bytes: &[u8]) {
    // Whatever its size, the codes are walked; larger ones would only be slow to draw.
    let wanted = |width: usize, height: usize| match width * height <= 1 << 16 {
        true => Ok(()),
        false => Err("is too large to be fuzzed".to_string()),
    };
    if let Ok(decoded) = picture::decode(bytes, wanted) {
        assert_eq!(decoded.to_rgb8().len(), 3 * (decoded.width() * decoded.height()) as usize);
    }
    if bytes.starts_with(&[0xff, 0xd8]) && bytes.get(2) != Some(&0xd8) {
        _ = jpeg::check(bytes);
    }
}
