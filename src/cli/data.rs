//! `data`: which data sets there are, whether one is sound, and faces that are drawn.

mod info;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::report::{json_document, write};
use crate::data::celeba::{self, ATTRIBUTES_FILE, PARTITION_FILE, PHOTOS};
use crate::data::{self, Dataset, Source, faces};
use crate::method::robustness::Accuracies;
use crate::progress::Context;
use crate::{Error, Result};

/// The arguments of `data`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DataArgs {
    #[command(subcommand)]
    pub action: Action,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc data check mnist
  smoothenc data info mnist --out digits.png
  smoothenc data make celeba --out faces --images 5000
  smoothenc train celeba --data-dir faces
  smoothenc data fetch celeba --data-dir photos";

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Say where a data set comes from, and check it where --data-dir has it
    Fetch(SetArgs),
    /// Read a data set as training would, and say what is in it
    Check(SetArgs),
    /// Say all about a data set: images of each class, a checksum, and with --out a sheet of examples
    Info(InfoArgs),
    /// Draw a small synthetic set in CelebA's layout: faces, attributes and partitions
    Make(MakeArgs),
}

/// Which data set.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// mnist, color-mnist, celeba, or any other name with --data-dir
    #[arg(value_name = "DATASET")]
    pub dataset: String,
    /// The folder of its files, or an .npz file
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Scale images to N x N pixels, at most 64, cutting out the middle of those that are not square
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub resize: Option<usize>,
    /// Of celeba: the side of the square cut out of a photograph, in pixels
    #[arg(long, value_name = "N", default_value_t = celeba::DEFAULT_CROP, allow_negative_numbers = true)]
    pub crop: usize,
    /// Of celeba: leave out and count photographs that cannot be read
    #[arg(long)]
    pub skip_bad: bool,
    /// Of celeba: the folder to keep the scaled photographs in, instead of beside them
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
}

impl SetArgs {
    fn load(&self, context: &Context) -> Result<Dataset> {
        let photos = celeba::Options { crop: self.crop, skip_bad: self.skip_bad, cache: self.cache.clone() };
        let directory = self.data_dir.as_deref();
        let observer = Some(&*context.observer);
        Dataset::load(&Source { name: &self.dataset, directory, resize: self.resize, photos, observer })
    }
}

/// The arguments of `data info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    #[command(flatten)]
    pub set: SetArgs,
    /// Also draw ten examples of each class, of ten classes at most, into a picture, which must not exist
    #[arg(long, value_name = "FILE.png")]
    pub out: Option<PathBuf>,
}

/// The arguments of `data make`.
#[derive(Debug, Args)]
pub struct MakeArgs {
    /// What to draw: celeba
    #[arg(value_name = "DATASET", value_parser = ["celeba"])]
    pub dataset: String,
    /// The folder to make, which must not exist
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How many faces: 80 % to train, 10 % to validate, 10 % to test
    #[arg(long, value_name = "N", default_value_t = 5000, allow_negative_numbers = true)]
    pub images: usize,
    /// The same seed draws the same bytes
    #[arg(long, value_name = "S", default_value_t = 0, allow_negative_numbers = true)]
    pub seed: u64,
}

/// Runs one of the four.
///
/// # Errors
/// [`Error::Request`] for a set that is not there or not sound, naming the file and what to do.
pub fn run(args: &DataArgs, context: &Context) -> Result<()> {
    match &args.action {
        Action::Fetch(set) => fetch(set, context),
        Action::Check(set) => check(set, context),
        Action::Info(args) => info::run(args, context),
        Action::Make(make) => draw(make, context),
    }
}

/// No set can be fetched without a person: MNIST comes with the program, CelebA's licence has to be agreed to.
fn fetch(set: &SetArgs, context: &Context) -> Result<()> {
    if set.dataset != "celeba" {
        data::check_available(&set.dataset, set.data_dir.as_deref())?;
        return check(set, context);
    }
    let Some(directory) = &set.data_dir else { return write(&format!("{}\n", how_to_fetch())) };
    let missing = celeba::missing(directory);
    if missing.is_empty() {
        return check(set, context);
    }
    let (directory, missing) = (directory.display(), missing.join(", no "));
    Err(Error::request(format!("{directory} has no {missing}: {}", how_to_fetch())))
}

fn how_to_fetch() -> String {
    format!(
        "CelebA cannot be downloaded by a program (its licence is for non-commercial research, and its server asks).\n\
         From the page of the \"Large-scale CelebFaces Attributes (CelebA) Dataset\" of the Chinese University of Hong \
         Kong, take\n  \
         Img/img_align_celeba.zip      unpacked to a folder {PHOTOS} of 202,599 JPEGs\n  \
         Anno/{ATTRIBUTES_FILE}\n  \
         Eval/{PARTITION_FILE}\n\
         into one folder DIR; then `smoothenc data check celeba --data-dir DIR`.\n\
         To try without: `smoothenc data make celeba --out DIR` draws synthetic faces in the same layout."
    )
}

/// What `check --json` prints.
#[derive(Serialize)]
struct Summary<'a> {
    dataset: &'a str,
    synthetic: bool,
    train: usize,
    test: usize,
    skipped: usize,
    /// Channels, height, width.
    image_shape: [usize; 3],
    tasks: Vec<TaskSummary<'a>>,
}

#[derive(Serialize)]
struct TaskSummary<'a> {
    name: &'a str,
    classes: usize,
    /// The part of the test images in their commonest class, in percent.
    majority: f64,
}

fn check(set: &SetArgs, context: &Context) -> Result<()> {
    let data = set.load(context)?;
    let summary = summary(&data);
    if set.json {
        return write(&json_document(&summary)?);
    }
    let mut text = headline(&data);
    for task in &summary.tasks {
        text += &format!(
            "  {:<18} {} classes, the commonest {:.1} % of the test images\n",
            task.name, task.classes, task.majority
        );
    }
    write(&(text + &remarks(&data)))
}

/// What a user should know of a set that is sound, a line each.
fn remarks(data: &Dataset) -> String {
    data.remarks().iter().map(|remark| format!("remark: {remark}\n")).collect()
}

/// How many images of what there are.
fn headline(data: &Dataset) -> String {
    let [channels, height, width] = data.train.images.shape();
    let mut text = format!(
        "{}{}: {} training and {} test images of {channels} x {height} x {width}\n",
        data.name,
        if data.synthetic { " (synthetic: drawn, no photographs)" } else { "" },
        data.train.count(),
        data.test.count()
    );
    if data.skipped > 0 {
        text += &format!("{} images left out, as they cannot be read\n", data.skipped);
    }
    text
}

fn summary(data: &Dataset) -> Summary<'_> {
    let tasks = data.tasks.iter().zip(&data.test.labels).map(|(task, labels)| TaskSummary {
        name: &task.name,
        classes: task.classes,
        majority: Accuracies::of(labels.iter().map(|&label| (label, true))).majority,
    });
    Summary {
        dataset: &data.name,
        synthetic: data.synthetic,
        train: data.train.count(),
        test: data.test.count(),
        skipped: data.skipped,
        image_shape: data.train.images.shape(),
        tasks: tasks.collect(),
    }
}

fn draw(make: &MakeArgs, context: &Context) -> Result<()> {
    faces::make(&make.out, make.images, make.seed, &*context.observer)?;
    let out = make.out.display();
    write(&format!(
        "{out}: {} synthetic faces (drawn, no photographs) in CelebA's layout\n\
         {} shows one for each of the 40 attributes\n\
         next: smoothenc train celeba --data-dir {out}\n",
        make.images,
        make.out.join(faces::SHEET).display()
    ))
}
