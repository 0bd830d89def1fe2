//! How an error is told on stderr: what went wrong, what lay behind it, and what to do, in the words of the command
//! line.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};

use super::Cli;
use crate::Error;
use crate::runs::config::{Setting, declared};

/// The lines for stderr: the error, each cause that it does not tell itself, and a hint.
pub fn explain(error: &Error) -> String {
    let flags = flags();
    let mut text = format!("error: {}", with_flags(&error.to_string(), &flags));
    let mut last = error.to_string();
    let mut cause = error.source();
    while let Some(why) = cause {
        let words = why.to_string();
        if !last.ends_with(&words) {
            // A cause of another library, such as a key that a JSON file lacks, speaks of no flag.
            let own = why.is::<Error>() || why.is::<Box<Error>>();
            let told = if own { with_flags(&words, &flags) } else { words.clone() };
            _ = write!(text, "\n  cause: {told}");
        }
        (last, cause) = (words, why.source());
    }
    if let Some(hint) = hint(error) {
        _ = write!(text, "\n  hint: {}", with_flags(&hint, &flags));
    }
    text
}

fn hint(error: &Error) -> Option<String> {
    let resume = |run: &Path| format!("smoothenc train --resume {}", run.display());
    match error {
        Error::Stopped { run, .. } => Some(format!("go on with: {}", resume(run))),
        Error::Interrupted { run, .. } => Some(format!("mend that and go on with: {}", resume(run))),
        Error::Unfinished { run, .. } => Some(format!("finish the run with: {}", resume(run))),
        Error::NoProbe { run, .. } => Some(format!("make one with: smoothenc probe {}", run.display())),
        Error::Locked { .. } => {
            Some("wait until it has ended; if it hangs, end it, or take the lock with --force-unlock".into())
        }
        other => other.hint().map(str::to_string),
    }
}

/// What is said where the program ends at once because it was asked to, maybe while it made a run: by `train`
/// (`one_run`), or by a command that makes several.
pub fn stopped(one_run: bool, run: Option<&Path>) -> String {
    match (one_run, run) {
        (false, _) => "error: stopped\n  hint: the same command goes on from here".into(),
        (true, Some(run)) => {
            format!("error: stopped\n  hint: go on with: smoothenc train --resume {}", run.display())
        }
        (true, None) => "error: stopped before the run began".into(),
    }
}

/// A remark in the words of the command line.
pub fn in_flags(text: &str) -> String {
    with_flags(text, &flags())
}

/// The long flags of all commands.
fn flags() -> BTreeSet<String> {
    fn collect(command: &Command, flags: &mut BTreeSet<String>) {
        flags.extend(command.get_arguments().filter_map(|flag| flag.get_long().map(str::to_string)));
        command.get_subcommands().for_each(|command| collect(command, flags));
    }
    let mut flags = BTreeSet::new();
    collect(&Cli::command(), &mut flags);
    flags
}

/// The text with the flag in place of each setting in backticks.
fn with_flags(text: &str, flags: &BTreeSet<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, quoted, after)) = next_quoted(rest) {
        let setting = declared().find(|setting| setting.path() == quoted);
        let flag = setting.map_or_else(|| quoted.replace('.', "-"), Setting::flag);
        out.push_str(before);
        match flags.contains(&flag) {
            true => out.extend(["--", &flag]),
            false => out.extend(["`", quoted, "`"]),
        }
        rest = after;
    }
    out + rest
}

fn next_quoted(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (quoted, after) = rest.split_once('`')?;
    Some((before, quoted, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_the_words_of_the_command_line() {
        let radii =
            Error::setting("attack.radii", "must ascend").with_hint("see `smoothenc attack -h`, or `eps`");
        assert_eq!(
            explain(&radii),
            "error: --attack-radii must ascend\n  hint: see `smoothenc attack -h`, or --eps"
        );
        assert_eq!(explain(&Error::run("an odd ` and `unknown`")), "error: an odd ` and `unknown`");
    }

    #[test]
    fn causes_are_told_once() {
        let disk = || std::io::Error::other("disk full");
        let told = explain(&Error::io("a/b")(disk()));
        assert_eq!(told, "error: a/b: disk full");
        let source = Box::new(Error::io("a/b")(disk()));
        let told = explain(&Error::Interrupted { run: "a".into(), source });
        let hint = "mend that and go on with: smoothenc train --resume a";
        assert_eq!(told, format!("error: training ended early\n  cause: a/b: disk full\n  hint: {hint}"));
        let read = Error::file("x.json", "does not read as a result").because(disk());
        assert_eq!(explain(&read), "error: x.json does not read as a result\n  cause: disk full");
        let read =
            Error::file("x.json", "does not read").because(std::io::Error::other("missing field `seed`"));
        assert_eq!(explain(&read), "error: x.json does not read\n  cause: missing field `seed`");
        let source = Box::new(Error::setting("eps", "must be positive"));
        let told = explain(&Error::Interrupted { run: "a".into(), source });
        assert!(told.contains("cause: --eps must be positive"), "{told}");
    }
}
