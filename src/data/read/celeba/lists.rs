//! `list_attr_celeba` and `list_eval_partition`: as text, with blanks between the columns, or as CSV, with or without
//! quotes and the column of row numbers that pandas puts in front.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::data::read::container;
use crate::{Error, Result};

/// The official attributes, in the official order.
pub const ATTRIBUTES: [&str; 40] = [
    "5_o_Clock_Shadow",
    "Arched_Eyebrows",
    "Attractive",
    "Bags_Under_Eyes",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Blurry",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Eyeglasses",
    "Goatee",
    "Gray_Hair",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Oval_Face",
    "Pale_Skin",
    "Pointy_Nose",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Sideburns",
    "Smiling",
    "Straight_Hair",
    "Wavy_Hair",
    "Wearing_Earrings",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
    "Young",
];

/// The number of the attribute of this name.
///
/// # Panics
/// Where there is none: names are written in the program, those of a user's file are looked up by the reader.
pub fn attribute(name: &str) -> usize {
    ATTRIBUTES.iter().position(|known| *known == name).unwrap_or_else(|| panic!("no attribute {name}"))
}

/// Bounds of a list, several times what the official ones have: 202,599 photographs in 27 MB.
const MOST_BYTES: u64 = 1 << 27;
const MOST_PHOTOS: usize = 1_000_000;
const LONGEST_LINE: usize = 1 << 14;

/// Names of the two lists; each may end in `.csv` instead.
pub const ATTRIBUTES_FILE: &str = "list_attr_celeba.txt";
pub const PARTITION_FILE: &str = "list_eval_partition.txt";

/// What a photograph is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Train,
    Validation,
    Test,
}

/// One line of the lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// The file's name.
    pub name: String,
    pub part: Part,
    /// Bit `i` for attribute `i` of [`ATTRIBUTES`].
    attributes: u64,
}

impl Photo {
    pub fn has(&self, attribute: usize) -> bool {
        self.attributes >> attribute & 1 == 1
    }
}

/// Reads both lists of the set in `directory`, in the order of the attributes' list.
///
/// # Errors
/// [`Error::Request`] naming the file and the line.
pub fn read(directory: &Path) -> Result<Vec<Photo>> {
    if !directory.is_dir() {
        return Err(Error::file(directory, "is not a directory")
            .with_hint("`data-dir` names the folder that holds CelebA's lists and photographs"));
    }
    let attributes = Lines::open(&find(directory, ATTRIBUTES_FILE)?)?;
    let partition = Lines::open(&partition_path(directory)?)?;
    join(&attributes, &partition)
}

/// The photographs of both lists.
fn join(attributes: &Lines, partition: &Lines) -> Result<Vec<Photo>> {
    let mut parts = partition.parts()?;
    let mut photos = Vec::new();
    for (name, bits) in attributes.attributes()? {
        let Some(part) = parts.remove(&name) else {
            let (partition, attributes) = (partition.path.display(), attributes.path.display());
            return Err(Error::request(format!("{partition} has no line for {name} of {attributes}")));
        };
        photos.push(Photo { name, part, attributes: bits });
    }
    if let Some(name) = parts.keys().min() {
        let (partition, attributes) = (partition.path.display(), attributes.path.display());
        return Err(Error::request(format!("{attributes} has no line for {name} of {partition}")));
    }
    Ok(photos)
}

/// The same of the texts of both.
///
/// # Errors
/// As [`read`].
#[cfg(any(test, feature = "fuzzing"))]
pub fn parse(attributes: (&str, bool), partition: (&str, bool)) -> Result<Vec<Photo>> {
    let lines = |name: &str, (text, csv): (&str, bool)| {
        Lines::of(&Path::new(name).with_extension(if csv { "csv" } else { "txt" }), text.into())
    };
    join(&lines(ATTRIBUTES_FILE, attributes), &lines(PARTITION_FILE, partition))
}

/// Where the list of the partition is.
pub fn partition_path(directory: &Path) -> Result<PathBuf> {
    find(directory, PARTITION_FILE)
}

fn find(directory: &Path, name: &str) -> Result<PathBuf> {
    present(directory, name).ok_or_else(|| {
        Error::file(directory.join(name), "is missing (also looked for as .csv)")
            .with_hint("put CelebA's list there, or name another folder with `data-dir`")
    })
}

/// Where a list is, in either form: in the folder itself, or in one of those that the set's own drive has.
pub fn present(directory: &Path, name: &str) -> Option<PathBuf> {
    let places = ["", "Anno", "Eval"].map(|place| directory.join(place).join(name));
    places.into_iter().flat_map(|text| [text.clone(), text.with_extension("csv")]).find(|path| path.is_file())
}

/// A list, split into its lines' columns.
struct Lines {
    path: PathBuf,
    text: String,
    csv: bool,
}

impl Lines {
    fn open(path: &Path) -> Result<Lines> {
        let bytes = container::read_small(path, MOST_BYTES)?;
        let text = String::from_utf8(bytes)
            .map_err(|error| Error::file(path, "is no text in UTF-8").because(error))?;
        if let Some(line) = text.lines().position(|line| line.len() > LONGEST_LINE) {
            let why = "is longer than any line of CelebA's lists";
            return Err(Error::request(format!("{}, line {}: it {why}", path.display(), line + 1)));
        }
        Ok(Lines::of(path, text))
    }

    fn of(path: &Path, mut text: String) -> Lines {
        // The mark that some editors put before UTF-8.
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Lines { path: path.to_path_buf(), text, csv: path.extension().is_some_and(|end| end == "csv") }
    }

    /// Number and columns of each line that is not empty.
    fn rows(&self) -> Box<dyn Iterator<Item = Result<(usize, StringRecord)>> + '_> {
        if !self.csv {
            let lines = self.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            return Box::new(lines.map(|(i, line)| Ok((i + 1, line.split_whitespace().collect()))));
        }
        let mut builder = csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true).trim(csv::Trim::All);
        let rows = builder.from_reader(self.text.as_bytes()).into_records();
        // Row numbers stand under no name, or under pandas' name for none.
        let mut numbered = None;
        Box::new(rows.filter_map(move |row| {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    return Some(Err(Error::file(&self.path, "cannot be read").because(error)));
                }
            };
            if row.iter().all(str::is_empty) {
                return None;
            }
            let line = row.position().map_or(0, |at| at.line() as usize);
            let numbered = *numbered.get_or_insert_with(|| matches!(&row[0], "" | "Unnamed: 0"));
            Some(Ok((line, if numbered { row.iter().skip(1).collect() } else { row })))
        }))
    }

    fn refuse(&self, line: usize, why: &str) -> Error {
        Error::request(format!("{}, line {line}: {why}", self.path.display()))
    }

    fn check_count(&self, line: usize, photos: usize) -> Result<()> {
        match photos > MOST_PHOTOS {
            true => Err(self.refuse(line, &format!("there are more than {MOST_PHOTOS} photographs"))),
            false => Ok(()),
        }
    }

    /// The name in a row's first column, which must be a file of the photographs' folder.
    fn name<'a>(&self, line: usize, columns: &'a StringRecord) -> Result<&'a str> {
        let name = columns.get(0).unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.chars().all(plain) && name.chars().any(|c| c != '.') {
            return Ok(name);
        }
        Err(self.refuse(line, &format!("{name:?} is not the name of a photograph")))
    }

    /// Name and attributes of each photograph.
    fn attributes(&self) -> Result<Vec<(String, u64)>> {
        let mut rows = self.rows();
        let ends = || Error::file(&self.path, "ends before its first photograph");
        // The text begins with the number of photographs, the CSV has none.
        let promised = match self.csv {
            true => None,
            false => {
                let (line, columns) = rows.next().ok_or_else(ends)??;
                let count = columns[0].parse::<usize>().ok().filter(|_| columns.len() == 1);
                let why = "must be the number of photographs alone";
                Some(count.ok_or_else(|| self.refuse(line, why))?)
            }
        };
        let (line, header) = rows.next().ok_or_else(ends)??;
        let header: Vec<&str> = header.iter().skip(usize::from(self.csv)).collect();
        let columns = self.columns(line, &header)?;
        let mut photos = Vec::new();
        let mut seen = HashMap::new();
        for row in rows {
            let (line, row) = row?;
            let name = self.name(line, &row)?;
            if row.len() != columns.len() + 1 {
                let why =
                    format!("{name} has {} attributes, the header has {}", row.len() - 1, columns.len());
                return Err(self.refuse(line, &why));
            }
            let mut attributes = 0;
            for (&column, value) in columns.iter().zip(row.iter().skip(1)) {
                match whole(value) {
                    Some(1) => attributes |= 1 << column,
                    Some(-1 | 0) => {}
                    _ => {
                        let why = format!("{name}: {} is {value:?}, must be 1 or -1", ATTRIBUTES[column]);
                        return Err(self.refuse(line, &why));
                    }
                }
            }
            if let Some(first) = seen.insert(name.to_string(), line) {
                return Err(self.refuse(line, &format!("{name} is there twice (also in line {first})")));
            }
            photos.push((name.to_string(), attributes));
            self.check_count(line, photos.len())?;
        }
        match promised {
            Some(count) if count != photos.len() => {
                let what = format!("promises {count} photographs in its first line and has {}", photos.len());
                Err(Error::file(&self.path, what))
            }
            _ => Ok(photos),
        }
    }

    /// The number of the official attribute in each column of the header.
    fn columns(&self, line: usize, header: &[&str]) -> Result<Vec<usize>> {
        let known = |name: &&str| {
            let found = ATTRIBUTES.iter().position(|known| known == name);
            found.ok_or_else(|| self.refuse(line, &format!("{name:?} is none of CelebA's 40 attributes")))
        };
        let columns = header.iter().map(known).collect::<Result<Vec<_>>>()?;
        for (attribute, name) in ATTRIBUTES.iter().enumerate() {
            match columns.iter().filter(|&&column| column == attribute).count() {
                0 => return Err(self.refuse(line, &format!("the attribute {name} is missing"))),
                1 => {}
                _ => return Err(self.refuse(line, &format!("the attribute {name} is there twice"))),
            }
        }
        Ok(columns)
    }

    /// What each photograph is for.
    fn parts(&self) -> Result<HashMap<String, Part>> {
        let mut parts = HashMap::new();
        for row in self.rows().skip(usize::from(self.csv)) {
            let (line, row) = row?;
            let name = self.name(line, &row)?;
            let part = match row.get(1).filter(|_| row.len() == 2).and_then(whole) {
                Some(0) => Part::Train,
                Some(1) => Part::Validation,
                Some(2) => Part::Test,
                _ => {
                    let why = format!("{name} must have 0 (train), 1 (validation) or 2 (test) after it");
                    return Err(self.refuse(line, &why));
                }
            };
            if parts.insert(name.to_string(), part).is_some() {
                return Err(self.refuse(line, &format!("{name} is there twice")));
            }
            self.check_count(line, parts.len())?;
        }
        Ok(parts)
    }
}

/// A small whole number, also where it is written as a float.
fn whole(text: &str) -> Option<i32> {
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}
