//! The queue of an attack's work: (image, restart). A fixed number of rows runs on the device. Every few steps the host
//! reads which rows are misclassified, drops the other restarts of their images, and refills the free rows from the
//! queue. So all rows are busy, and a misclassified image costs no further steps.

use super::search::Compiled;
use super::{ROWS, Target};
use crate::engine::session::Session;
use crate::error::Result;
use crate::method::robustness::Accuracies;

/// A restart of an image's attack: (image, restart).
pub(super) type Work = (usize, usize);

/// Item `q` of the queue: first one restart of every image, since most that are misclassified at all are so in the
/// first, then the others image by image. Rows of one image share their zeros, and the CPU skips zeros that a
/// panel's rows share.
pub(super) fn work_at(q: usize, images: usize, restarts: usize) -> Work {
    match q.checked_sub(images) {
        None => (q, 0),
        Some(rest) => (rest / (restarts - 1), 1 + rest % (restarts - 1)),
    }
}

/// The images under attack, and which are misclassified so far.
pub(super) struct Victims<'a> {
    target: &'a Target<'a>,
    pub fooled: Vec<bool>,
}

/// A busy row.
#[derive(Clone, Copy)]
struct Row {
    image: usize,
    rival: u32,
    /// Runs of the program so far.
    runs: usize,
}

impl<'a> Victims<'a> {
    pub fn new(target: &'a Target<'a>) -> Self {
        Victims { target, fooled: vec![false; target.labels.len()] }
    }

    pub fn standing(&self) -> Accuracies {
        Accuracies::of(self.target.labels.iter().zip(&self.fooled).map(|(&label, fooled)| (label, !fooled)))
    }

    /// Processes `queue`, each item in as many runs of the search as it has, and marks the misclassified images.
    /// `start` writes the point at which a restart begins, and `rival` tells the class it prefers. Calls `report` with
    /// the items left after each run.
    pub fn run(
        &mut self,
        session: &Session,
        search: &mut Compiled,
        mut queue: impl ExactSizeIterator<Item = Work>,
        start: &dyn Fn(usize, usize, &mut [f32]),
        rival: &dyn Fn(usize, usize) -> u32,
        report: &dyn Fn(usize),
    ) -> Result<()> {
        let inputs = self.target.vae.encoder.inputs();
        let mut rows: [Option<Row>; ROWS] = [None; ROWS];
        let mut point = vec![0.0; inputs];
        loop {
            for (r, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.is_none()) {
                // A misclassified image needs no further restart.
                let Some((image, restart)) = queue.find(|(image, _)| !self.fooled[*image]) else {
                    break;
                };
                start(image, restart, &mut point);
                session.write("attack.x", r * inputs, self.target.row(image))?;
                session.write("attack.x_adv", r * inputs, &point)?;
                session.write("attack.wrong", r, &[0_u32])?;
                *row = Some(Row { image, rival: rival(image, restart), runs: 0 });
            }
            if rows.iter().all(Option::is_none) {
                return Ok(());
            }
            for (aim, row) in search.rows.iter_mut().zip(&rows) {
                if let Some(Row { image, rival, runs }) = *row {
                    *aim = search.search.aim(self.target.labels[image], rival, runs * search.steps_a_run);
                }
            }
            search.run(session)?;
            let wrong: Vec<u32> = session.get("attack.wrong")?;
            for (row, wrong) in rows.iter().zip(wrong) {
                if let Some(row) = row {
                    self.fooled[row.image] |= wrong != 0;
                }
            }
            for row in &mut rows {
                *row = row
                    .map(|row| Row { runs: row.runs + 1, ..row })
                    .filter(|row| row.runs < search.runs && !self.fooled[row.image]);
            }
            report(queue.len() + rows.iter().flatten().count());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_restart_of_every_image_is_in_the_queue() {
        for (images, restarts) in [(5, 1), (1, 4), (7, 3)] {
            let mut works: Vec<Work> = (0..images * restarts).map(|q| work_at(q, images, restarts)).collect();
            assert!(works[..images].iter().all(|(_, restart)| *restart == 0));
            works.sort_unstable();
            let all = (0..images).flat_map(|i| (0..restarts).map(move |r| (i, r)));
            assert_eq!(works, all.collect::<Vec<_>>());
        }
    }
}
