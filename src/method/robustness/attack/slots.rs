//! The rows of the device, refilled from a queue: when a row's work is done it takes on the next, so that all are busy.

use super::ROWS;
use crate::error::Result;

/// What each row is busy with; free rows have nothing.
pub struct Slots<T>([Option<T>; ROWS]);

impl<T> Slots<T> {
    /// All free.
    pub fn new() -> Self {
        Slots([const { None }; ROWS])
    }

    /// Gives each free row what `next` has for it, the row's number being given. Returns whether any row is busy.
    pub fn fill(&mut self, mut next: impl FnMut(usize) -> Result<Option<T>>) -> Result<bool> {
        for (r, row) in self.0.iter_mut().enumerate().filter(|(_, row)| row.is_none()) {
            *row = next(r)?;
            if row.is_none() {
                break;
            }
        }
        Ok(self.busy().next().is_some())
    }

    /// The busy rows, with their numbers.
    pub fn busy(&self) -> impl Iterator<Item = (usize, &T)> {
        self.0.iter().enumerate().filter_map(|(r, row)| Some((r, row.as_ref()?)))
    }

    /// The same, to change them.
    pub fn busy_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.0.iter_mut().enumerate().filter_map(|(r, row)| Some((r, row.as_mut()?)))
    }

    /// Frees the rows whose work is not to go on.
    pub fn retain(&mut self, go_on: impl Fn(&T) -> bool) {
        self.0
            .iter_mut()
            .filter(|row| row.as_ref().is_some_and(|row| !go_on(row)))
            .for_each(|row| *row = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_rows_take_on_the_next_work() {
        let mut slots = Slots::new();
        let mut queue = 0..ROWS + 3;
        let mut fill = |slots: &mut Slots<usize>| slots.fill(|_| Ok(queue.next())).unwrap();
        assert!(fill(&mut slots));
        assert!(slots.busy().map(|(r, work)| r - work).eq([0; ROWS]));
        slots.retain(|work| *work != 7 && *work >= 2);
        assert_eq!(slots.busy().count(), ROWS - 3);
        assert!(fill(&mut slots));
        let taken: Vec<usize> = slots.busy().filter(|(r, work)| r != *work).map(|(r, _)| r).collect();
        assert_eq!(taken, [0, 1, 7]);
        slots.busy_mut().for_each(|(_, work)| *work += 1);
        slots.retain(|work| *work == 11);
        assert!(fill(&mut slots) && slots.busy().map(|(r, _)| r).eq([10]));
        slots.retain(|_| false);
        assert!(!fill(&mut slots));
    }
}
