//! The queue of an attack's work: (image, restart). A fixed number of rows runs on the device. Every few steps the host
//! reads which rows are misclassified, drops the other restarts of their images, and refills the free rows from the
//! queue. So all rows are busy, and a misclassified image costs no further steps.

use super::Target;
use super::search::Compiled;
use super::slots::Slots;
use crate::engine::session::Session;
use crate::error::Result;
use crate::method::ops::right_before_wrong;

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
    pub target: &'a Target<'a>,
    /// What was found of each image.
    found: Vec<Option<Found>>,
    keep_points: bool,
}

/// A misclassified point of an image.
pub(super) struct Found {
    /// The restart that found it.
    pub restart: usize,
    /// Steps before the point.
    pub iteration: usize,
    /// The point, where points are kept.
    pub point: Option<Vec<f32>>,
}

/// A busy row.
struct Row {
    image: usize,
    restart: usize,
    rival: u32,
    /// Runs of the program so far.
    runs: usize,
}

impl<'a> Victims<'a> {
    pub fn new(target: &'a Target<'a>, keep_points: bool) -> Self {
        Victims { target, found: target.labels.iter().map(|_| None).collect(), keep_points }
    }

    /// Whether no point of the image was misclassified so far.
    pub fn stands(&self, image: usize) -> bool {
        self.found[image].is_none()
    }

    /// What was found of the image.
    pub fn found(&self, image: usize) -> Option<&Found> {
        self.found[image].as_ref()
    }

    /// A restart has found after so many steps that the point of the image is misclassified. The first one counts.
    pub fn mark(&mut self, image: usize, restart: usize, iteration: usize, point: &[f32]) {
        let point = self.keep_points.then(|| point.to_vec());
        self.found[image].get_or_insert(Found { restart, iteration, point });
    }

    /// The next work in the queue: a misclassified image needs no further restart.
    pub fn next_of(&self, queue: &mut impl Iterator<Item = Work>) -> Option<Work> {
        queue.find(|(image, _)| self.stands(*image))
    }

    /// Processes `queue`, each item in as many runs of the search as it has, and marks the misclassified images.
    /// `start` writes the point at which a restart begins, and `rival` tells the class it prefers. Calls `report` with
    /// the points that are left after each run.
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
        let mut rows = Slots::new();
        let mut point = vec![0.0; inputs];
        let take = |victims: &Self, r: usize, (image, restart): Work, point: &mut [f32]| {
            start(image, restart, point);
            session.write("attack.x", r * inputs, victims.target.row(image))?;
            session.write("attack.x_adv", r * inputs, point)?;
            session.write("attack.verdicts", r, &[0_u32])?;
            Ok(Row { image, restart, rival: rival(image, restart), runs: 0 })
        };
        while rows
            .fill(|r| self.next_of(&mut queue).map(|work| take(self, r, work, &mut point)).transpose())?
        {
            for (r, row) in rows.busy() {
                let label = self.target.labels[row.image];
                search.rows[r] = search.search.aim(label, row.rival, row.runs * search.steps_a_run);
            }
            let (runs, single) = (search.runs, search.search.single);
            if single {
                // Before the next step moves the points on.
                search.check(session)?;
                self.mark_wrong(session, search, &rows)?;
                rows.retain(|row| row.runs < runs && self.stands(row.image));
            }
            if rows.busy().next().is_some() {
                search.run(session)?;
                rows.busy_mut().for_each(|(_, row)| row.runs += 1);
            }
            if !single {
                self.mark_wrong(session, search, &rows)?;
                rows.retain(|row| row.runs < runs && self.stands(row.image));
            }
            let left = |row: &Row| (search.runs - row.runs) * search.steps_a_run;
            let waiting = queue.len() * search.search.points();
            report(waiting + rows.busy().map(|(_, row)| left(row)).sum::<usize>());
        }
        Ok(())
    }

    /// Marks the images of the rows at which the device was wrong.
    fn mark_wrong(&mut self, session: &Session, search: &Compiled, rows: &Slots<Row>) -> Result<()> {
        let inputs = self.target.vae.encoder.inputs();
        let verdicts: Vec<u32> = session.get("attack.verdicts")?;
        let right = |(r, row)| right_before_wrong(verdicts[r]).map(|right| (r, row, right as usize));
        let mut fooled = rows.busy().filter_map(right).peekable();
        let points: Vec<f32> = match self.keep_points && fooled.peek().is_some() {
            true => session.get("attack.x_adv")?,
            false => Vec::new(),
        };
        for (r, row, right) in fooled {
            let point = points.get(r * inputs..(r + 1) * inputs).unwrap_or_default();
            self.mark(row.image, row.restart, search.steps_before(right), point);
        }
        Ok(())
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
