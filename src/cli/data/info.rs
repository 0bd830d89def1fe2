//! `data info`: what was read, for each class of each task, and a sheet of examples.

use serde::Serialize;

use super::{InfoArgs, headline, remarks};
use crate::cli::report::{json_document, write};
use crate::data::Dataset;
use crate::progress::Context;
use crate::report::{Grid, Image};
use crate::{Error, Result, files};

/// Classes on the sheet, and examples of each.
const ROWS: usize = 10;
const EXAMPLES: usize = 10;

/// What `info --json` prints.
#[derive(Serialize)]
struct Info<'a> {
    dataset: &'a str,
    /// The folder or file it was read from; none where it comes with the program.
    data_dir: Option<String>,
    synthetic: bool,
    train: usize,
    test: usize,
    skipped: usize,
    /// Channels, height, width.
    image_shape: [usize; 3],
    /// Of all images and labels.
    sha256: String,
    tasks: Vec<TaskInfo<'a>>,
    remarks: Vec<String>,
}

#[derive(Serialize)]
struct TaskInfo<'a> {
    name: &'a str,
    classes: Vec<ClassInfo>,
}

#[derive(Serialize)]
struct ClassInfo {
    name: String,
    train: usize,
    test: usize,
}

pub fn run(args: &InfoArgs, context: &Context) -> Result<()> {
    if let Some(out) = args.out.as_ref().filter(|out| out.exists()) {
        return Err(Error::request(format!("--out {} exists; name a new file", out.display())));
    }
    let data = args.set.load(context)?;
    let info = Info {
        dataset: &data.name,
        data_dir: args.set.data_dir.as_ref().map(|place| place.display().to_string()),
        synthetic: data.synthetic,
        train: data.train.count(),
        test: data.test.count(),
        skipped: data.skipped,
        image_shape: data.train.images.shape(),
        sha256: data.fingerprint.clone(),
        tasks: (0..data.tasks.len()).map(|task| task_info(&data, task)).collect(),
        remarks: data.remarks(),
    };
    if let Some(out) = &args.out {
        files::write_whole(out, &sheet(&data)?.drawing().png()?)?;
    }
    if args.set.json {
        return write(&json_document(&info)?);
    }
    let mut text = headline(&data);
    text += &format!("from {}\n", info.data_dir.as_deref().unwrap_or("the program itself"));
    text += &format!("sha256 {}\n", info.sha256);
    // Three columns, which are alike for all tasks: shorter as formats than as one table with gaps.
    for task in &info.tasks {
        text += &format!("\n  {:<18} {:>9} {:>9}\n", task.name, "training", "test");
        // A class that stands for nothing is told below.
        for class in task.classes.iter().filter(|class| class.train + class.test > 0) {
            text += &format!("  {:<18} {:>9} {:>9}\n", class.name, class.train, class.test);
        }
    }
    text += &remarks(&data);
    if let Some(out) = &args.out {
        text += &format!("\nexamples of each class are in {}\n", out.display());
    }
    write(&text)
}

fn task_info(data: &Dataset, task: usize) -> TaskInfo<'_> {
    let about = &data.tasks[task];
    let counts = [&data.train, &data.test].map(|split| split.counts(task, about.classes));
    let class =
        |i: usize| ClassInfo { name: class_name(data, task, i), train: counts[0][i], test: counts[1][i] };
    TaskInfo { name: &about.name, classes: (0..about.classes).map(class).collect() }
}

fn class_name(data: &Dataset, task: usize, class: usize) -> String {
    let name = data.class_names.get(class).filter(|_| task == 0);
    name.cloned().unwrap_or_else(|| class.to_string())
}

/// The first training images of each class of the first task, a row for each class that has any.
fn sheet(data: &Dataset) -> Result<Grid> {
    let images = &data.train.images;
    let labels = &data.train.labels[0];
    let row = |class: usize| -> Result<_> {
        let of = (0..images.count).filter(|&i| labels[i] as usize == class).take(EXAMPLES);
        let row =
            of.map(|i| Ok(Image::of(images.shape(), &images.floats(i)?))).collect::<Result<Vec<_>>>()?;
        Ok((class_name(data, 0, class), row))
    };
    let counts = data.train.counts(0, data.tasks[0].classes);
    let shown = (0..counts.len()).filter(|&class| counts[class] > 0).take(ROWS);
    let rows = shown.map(row).collect::<Result<Vec<_>>>()?;
    let title = format!("{}: training images by {}", data.name, data.tasks[0].name);
    Ok(rows.into_iter().fold(Grid::new(title), |grid, (name, row)| grid.row(name, row)))
}
