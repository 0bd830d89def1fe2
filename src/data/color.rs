//! ColorMNIST: each grey image in the seven colours of the RGB cube's corners but black (docs/method.md, section 6).
//!
//! Colour `k` has the bits of `k + 1`: bit 0 red, bit 1 green, bit 2 blue. So 0 is red, 1 green, 2 yellow, 3 blue,
//! 4 magenta, 5 cyan and 6 white. The kernel `paint` paints the same way on the device.

use super::{Dataset, Split, Task};

/// The colours in which an image is shown.
pub const COLORS: usize = 7;

/// The planes `[3, grey.len()]` of a grey image in colour `color`.
pub fn paint(grey: &[f32], color: usize) -> Vec<f32> {
    let plane = |channel: usize| {
        let lit = (color + 1) >> channel & 1;
        grey.iter().map(move |&x| if lit == 1 { x } else { 0.0 })
    };
    (0..3).flat_map(plane).collect()
}

/// The coloured set of a grey one, whose only task goes on beside the task `color`.
pub fn colored(grey: Dataset, name: &str) -> Dataset {
    let mut tasks = grey.tasks;
    tasks.push(Task { name: "color".into(), classes: COLORS });
    let (train, test) = (in_colors(grey.train), in_colors(grey.test));
    Dataset { name: name.into(), train, test, tasks, ..grey }
}

fn in_colors(split: Split) -> Split {
    let each = |labels: Vec<u32>| labels.into_iter().flat_map(|label| [label; COLORS]).collect();
    let mut labels: Vec<Vec<u32>> = split.labels.into_iter().map(each).collect();
    let images = split.images.in_colors();
    labels.push((0..images.count).map(|i| (i % COLORS) as u32).collect());
    Split { images, labels }
}
