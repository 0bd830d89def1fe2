//! What the figures share: where results go, runs and parts that are done already, the settings they start from.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::data::{faces, hex_sha256};
use crate::engine::device::Device;
use crate::error::{Error, Result};
use crate::files::{self, disk};
use crate::progress::Context;
use crate::report::run_page::RunPage;
use crate::report::{self, Drawing};
use crate::runs::LoadedRun;
use crate::runs::config::{Config, Preset, declared};
use crate::runs::output::{self, Files};
use crate::runs::short;
use crate::runs::store::{Finished, Runs};

use super::systems;
use super::what::What;

/// A place to work in. `root` holds what figures share, `out` what one of them shows.
#[derive(Debug)]
pub struct Lab {
    pub preset: Preset,
    root: PathBuf,
    out: PathBuf,
    runs: Runs,
    context: Context,
    device: String,
    data_dir: Option<PathBuf>,
    over: Option<Over>,
    /// Every run asked for: its folder and settings.
    used: RefCell<Vec<(String, Config)>>,
    /// What this figure has for its page so far.
    made: RefCell<Made>,
    /// Its files so far, which are written together when all are made.
    files: RefCell<Files>,
}

/// Settings laid over those of every run.
#[derive(Debug)]
struct Over {
    /// The file they are from, and its text.
    path: PathBuf,
    text: String,
    /// Those that it gives.
    given: toml::Table,
}

/// What was made for a figure, as its page shows it.
#[derive(Debug, Default)]
pub struct Made {
    /// Pictures with what they have in common, if anything.
    pub pictures: Vec<(String, Vec<Drawing>)>,
    /// Tables: title, columns, rows.
    pub tables: Vec<(String, Vec<String>, Vec<Vec<String>>)>,
    /// Every run it was made from: its folder and settings.
    pub runs: Vec<(String, Config)>,
    /// What else it was made from: a name and its settings.
    pub parts: Vec<(String, toml::Table)>,
    /// Where the runs were trained.
    pub devices: BTreeSet<String>,
    /// Whether a run's images are drawn and no photographs.
    pub synthetic: bool,
}

/// The file of every setting of a figure.
pub const SETTINGS: &str = "settings.toml";

/// Pictures of a made set of faces.
const FACES: usize = 5000;

impl Lab {
    /// `over` is a file of settings, such as a shorter training, for every run.
    ///
    /// # Errors
    /// [`Error::Request`] for a file of settings that does not read.
    pub fn new(
        root: &Path,
        preset: Preset,
        device: &str,
        data_dir: Option<&Path>,
        over: Option<&Path>,
        context: Context,
    ) -> Result<Self> {
        let read = |path: &Path| {
            let text = fs::read_to_string(path)
                .map_err(|error| Error::file(path, "cannot be read").because(error))?;
            Config::from_toml(&text, &path.display().to_string(), &Config::default())?;
            let given = toml::from_str(&text)
                .map_err(|error| Error::request(format!("{}: {}", path.display(), error.message())))?;
            Ok(Over { path: path.to_path_buf(), text, given })
        };
        Ok(Lab {
            preset,
            root: root.to_path_buf(),
            out: root.to_path_buf(),
            runs: Runs::new(root.join("runs"), context.clone(), Arc::new(RunPage)),
            context,
            device: device.to_string(),
            data_dir: data_dir.map(Path::to_path_buf),
            over: over.map(read).transpose()?,
            used: RefCell::default(),
            made: RefCell::default(),
            files: RefCell::default(),
        })
    }

    /// Where data of one's own lie.
    ///
    /// # Errors
    /// [`Error::Request`] for settings to lay over that do not read.
    pub fn data_folders(&self) -> Result<Vec<PathBuf>> {
        let over = match &self.over {
            Some(Over { text, path, .. }) => {
                Config::from_toml(text, &path.display().to_string(), &Config::default())?
                    .beside(path)
                    .data_dir
            }
            None => None,
        };
        Ok(self.data_dir.iter().cloned().chain(over).collect())
    }

    /// Begins a figure whose files go into `out`.
    ///
    /// # Errors
    /// [`Error::Request`] for a folder that cannot be made.
    pub fn begin(&mut self, out: &Path) -> Result<()> {
        disk::create_directories(out).map_err(|error| Error::file(out, "cannot be made").because(error))?;
        self.out = out.to_path_buf();
        self.used.borrow_mut().clear();
        self.made.take();
        self.files.take();
        Ok(())
    }

    /// Keeps a file of this figure.
    pub fn keep(&self, name: impl Into<String>, content: Vec<u8>) {
        self.files.borrow_mut().insert(name.into(), content);
    }

    /// Writes the figure's files, all or none.
    ///
    /// # Errors
    /// As [`output::write`].
    pub fn write(&self) -> Result<()> {
        output::write(&self.out, &self.files.borrow())
    }

    /// Refuses settings to lay over that are the figure's own.
    ///
    /// # Errors
    /// [`Error::Request`] naming the file, the setting and the figure.
    pub fn check_over(&self, what: What) -> Result<()> {
        let Some(Over { path, given, .. }) = &self.over else { return Ok(()) };
        let settings = toml::Value::Table(given.clone());
        let is_set =
            |key: &&&str| key.split('.').try_fold(&settings, |value, name| value.get(name)).is_some();
        match what.fixed().iter().find(is_set) {
            None => Ok(()),
            Some(key) => {
                let what = format!("sets {key}, which {} sets itself for each of its runs", what.name());
                Err(Error::file(path, what).with_hint("leave it out"))
            }
        }
    }

    pub fn quick(&self) -> bool {
        self.preset == Preset::Quick
    }

    /// Whom work tells how it goes on.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The device asked for.
    pub fn device(&self) -> Result<Device> {
        self.context.open(&self.device, false)
    }

    /// `config` on the device asked for, with the settings laid over every run.
    ///
    /// # Errors
    /// [`Error::Request`] for a setting that is unknown or no run can have.
    pub fn settle(&self, config: Config) -> Result<Config> {
        let config = self.laid_over(config)?;
        config.validate()?;
        Ok(config)
    }

    fn laid_over(&self, config: Config) -> Result<Config> {
        let config = Config { device: self.device.clone(), ..config };
        let config = match &self.over {
            Some(Over { text, path, .. }) => {
                Config::from_toml(text, &path.display().to_string(), &config)?.beside(path)
            }
            None => config,
        };
        Ok(config)
    }

    /// Warns of settings laid over that no run of these figures uses.
    ///
    /// # Errors
    /// [`Error::Request`] for settings that do not go with a figure's.
    pub fn warn_of_unused(&self, figures: &[What]) -> Result<()> {
        let Some(Over { path, given, .. }) = &self.over else { return Ok(()) };
        let systems = figures.iter().flat_map(|&what| systems::of(self, what)).flatten();
        let configs = systems.map(|system| self.laid_over(system.config)).collect::<Result<Vec<_>>>()?;
        for setting in declared().filter(|setting| setting.value_in(given).is_some()) {
            let name = setting.path();
            let why: Option<Vec<String>> = configs.iter().map(|config| config.why_unused(&name)).collect();
            if let Some(why) = why.and_then(|why| why.into_iter().next()) {
                log::warn!("{}: {name} {why}", path.display());
            }
        }
        Ok(())
    }

    /// The run of these settings, made now if it is not there. Faces lie where [`Lab::celeba`] has them.
    pub fn run(&self, config: Config) -> Result<Finished> {
        let config = match config.dataset == "celeba" {
            true => Config { data_dir: Some(self.celeba()?), ..config },
            false => config,
        };
        let config = self.settle(config)?;
        if self.runs.find(&config)?.is_none() {
            log::info!("training {}", self.runs.path(&config)?.display());
        }
        let run = self.runs.get(&config)?;
        let mut made = self.made.borrow_mut();
        made.synthetic |= run.result.synthetic;
        made.devices.insert(run.result.device.clone());
        drop(made);
        self.used.borrow_mut().push((run.path.display().to_string(), config));
        Ok(run)
    }

    /// Puts pictures on the figure's page; each is as wide as it can be, so panels come one by one.
    pub fn show(&self, title: &str, pictures: &[Drawing]) {
        self.made.borrow_mut().pictures.push((title.to_string(), pictures.to_vec()));
    }

    /// Puts a table on the figure's page.
    pub fn show_table(&self, title: &str, columns: &[&str], rows: &[Vec<String>]) {
        let heading = columns.iter().map(|column| column.to_string()).collect();
        self.made.borrow_mut().tables.push((title.to_string(), heading, rows.to_vec()));
    }

    /// Keeps the settings of something that is no run.
    ///
    /// # Errors
    /// [`Error::Run`] for settings that TOML cannot hold.
    pub fn made_with(&self, name: &str, settings: &impl Serialize) -> Result<()> {
        let mut table = toml::Table::try_from(settings)
            .map_err(|error| Error::run(format!("the settings of {name}: {error}")))?;
        shorten(&mut table);
        self.made.borrow_mut().parts.push((name.to_string(), table));
        Ok(())
    }

    /// What has been made for this figure.
    pub fn end(&self) -> Made {
        Made { runs: self.used.borrow().clone(), ..self.made.take() }
    }

    /// A finished run with its model and data.
    pub fn open(&self, run: &Finished) -> Result<LoadedRun> {
        LoadedRun::open(&run.path, self.device.as_str(), &self.context)
    }

    /// What `compute` finds, or found before: `key` says in words what it depends on. What is read back is computed
    /// anew where it is not `sound`.
    ///
    /// # Errors
    /// Those of `compute`, and of a file that cannot be written.
    pub fn part<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        sound: impl Fn(&T) -> bool,
        compute: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let hash = &hex_sha256(key.as_bytes())[..16];
        let folder = self.root.join("parts");
        let path = folder.join(format!("{hash}.json"));
        // A file that does not read, or has been damaged, is made anew.
        let there = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        if let Some(mut part) = there.filter(|part| part["key"] == key)
            && part["sha256"] == checksum(&part["value"])
            && let Ok(found) = serde_json::from_value(part["value"].take())
            && sound(&found)
        {
            return Ok(found);
        }
        let found = compute()?;
        disk::create_directories(&folder).map_err(Error::io(&folder))?;
        let failed = |error| Error::run(format!("{} cannot be made", path.display())).because(error);
        let value = serde_json::to_value(&found).map_err(failed)?;
        let part = json!({ "key": key, "sha256": checksum(&value), "value": value });
        files::write_whole(&path, &json_file(&part)?)?;
        // Through the file's text, so that the first time gives the same as every other.
        serde_json::from_value(value).map_err(failed)
    }

    /// The folder of CelebA: the one asked for, else synthetic faces, drawn now if they are not there.
    pub fn celeba(&self) -> Result<PathBuf> {
        if let Some(directory) = &self.data_dir {
            return Ok(directory.clone());
        }
        let faces = self.root.join("synthetic-faces");
        if !faces.exists() {
            disk::create_directories(&self.root).map_err(Error::io(&self.root))?;
            faces::make(&faces, FACES, 0, &*self.context.observer)?;
        }
        std::path::absolute(&faces).map_err(Error::io(&faces))
    }

    /// A table with named columns.
    ///
    /// # Errors
    /// As [`report::csv_file`].
    pub fn csv(&self, name: &str, columns: &[&str], rows: &[Vec<String>]) -> Result<()> {
        let name = format!("{name}.csv");
        let content = report::csv_file(&name, columns, rows)?;
        self.keep(name, content);
        Ok(())
    }

    /// What this figure was made with: the preset, and every setting of every run and of what is no run.
    ///
    /// # Errors
    /// [`Error::Run`] for what TOML cannot hold.
    pub fn settings(&self, what: &str) -> Result<()> {
        #[derive(Serialize)]
        struct Used<'a> {
            path: &'a str,
            settings: &'a Config,
        }
        #[derive(Serialize)]
        struct Settings<'a> {
            what: &'a str,
            preset: &'a str,
            runs: Vec<Used<'a>>,
            parts: Vec<Part<'a>>,
        }
        #[derive(Serialize)]
        struct Part<'a> {
            name: &'a str,
            settings: &'a toml::Table,
        }
        let made = self.made.borrow();
        let parts = made.parts.iter().map(|(name, settings)| Part { name, settings }).collect();
        let used = self.used.borrow();
        let runs = used.iter().map(|(path, settings)| Used { path, settings }).collect();
        let text = toml::to_string(&Settings { what, preset: self.preset.name(), runs, parts })
            .map_err(|error| Error::run(format!("settings.toml: {error}")))?;
        self.keep(SETTINGS, text.into_bytes());
        Ok(())
    }
}

/// Of a value as JSON writes it.
fn checksum(value: &Value) -> String {
    hex_sha256(value.to_string().as_bytes())
}

/// Single-precision numbers as they are written: 0.1 and not 0.10000000149.
fn shorten(table: &mut toml::Table) {
    for (_, value) in table.iter_mut() {
        match value {
            toml::Value::Float(number) => *number = short(*number as f32),
            toml::Value::Table(inner) => shorten(inner),
            _ => {}
        }
    }
}

/// A JSON document.
///
/// # Errors
/// [`Error::Run`] for what JSON cannot hold.
pub fn json_file(value: &impl Serialize) -> Result<Vec<u8>> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::run("a document cannot be made").because(error))?;
    Ok((text + "\n").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_part_is_computed_again() {
        let base = tempfile::tempdir().unwrap();
        let lab = Lab::new(base.path(), Preset::Quick, "cpu", None, None, crate::progress::Context::silent())
            .unwrap();
        let get = |value: u32| {
            lab.part("three numbers", |found: &Vec<u32>| found.len() == 3, || Ok(vec![value; 3])).unwrap()
        };
        assert_eq!((get(1), get(2)), (vec![1; 3], vec![1; 3]));
        let file = fs::read_dir(base.path().join("parts")).unwrap().next().unwrap().unwrap().path();
        let whole = fs::read_to_string(&file).unwrap();
        for (value, damaged) in [
            (3, String::new()),
            (4, "[1]".into()),
            (5, whole.replace("three", "four")),
            (6, r#"{"key": "three numbers"}"#.into()),
            (7, r#"{"key": "three numbers", "value": [1, 2]}"#.into()),
            (8, r#"{"key": "three numbers", "value": {"a": 1}}"#.into()),
            (9, whole.replacen("1,", "2,", 1)),
        ] {
            fs::write(&file, damaged).unwrap();
            assert_eq!((get(value), get(0)), (vec![value; 3], vec![value; 3]));
        }
    }
}
