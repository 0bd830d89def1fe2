use crate::progress::Silent;
use nalgebra::DMatrix;

use super::*;
use crate::data::celeba::{self, TASKS};

fn pixels(traits: &Traits, i: u32) -> Vec<f32> {
    let mut draws = Draws::new(5, i);
    Traits::draw(&mut draws); // The draws that a face's own attributes take.
    let file = jpeg(&draw::face(traits, &mut draws).picture()).unwrap();
    let photo = image::load_from_memory_with_format(&file, ImageFormat::Jpeg).unwrap().into_rgb8();
    photo.into_raw().into_iter().map(f32::from).collect()
}

/// Each of the 17 tasks' attributes changes the part of the picture that is cut out.
#[test]
fn every_task_can_be_seen() {
    for task in TASKS {
        let mut least = f32::INFINITY;
        for i in 0..8 {
            let [with, without] = [true, false].map(|value| {
                let mut traits = Traits::draw(&mut Draws::new(9, i));
                // What would be hidden by them.
                let colors = ["Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair"];
                ["Bald", "Wearing_Hat", "Blurry", "Wavy_Hair"]
                    .iter()
                    .chain(&colors)
                    .for_each(|hides| traits.set(hides, false));
                traits.set(task, value);
                pixels(&traits, i)
            });
            let middle = |p: usize| {
                let (u, v) = (p / 3 % WIDTH, p / 3 / WIDTH);
                (15..163).contains(&u) && (35..183).contains(&v)
            };
            let changed =
                (0..with.len()).filter(|&p| middle(p) && (with[p] - without[p]).abs() > 25.0).count();
            least = least.min(changed as f32 / 3.0);
        }
        assert!(least >= 40.0, "{task}: only {least} pixels change");
    }
}

#[test]
fn a_made_set_is_read_as_the_official_one_and_repeats() {
    let base = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| base.path().join(name));
    make(&a, 40, 3, &Silent).unwrap();
    make(&b, 40, 3, &Silent).unwrap();
    make(&c, 40, 4, &Silent).unwrap();
    let photo = |set: &Path| fs::read(set.join(PHOTOS).join("000017.jpg")).unwrap();
    assert_eq!(photo(&a), photo(&b));
    assert_ne!(photo(&a), photo(&c));
    let set = celeba::load(&a, &celeba::Options::default(), &Silent).unwrap();
    assert_eq!((set.train.count(), set.test.count(), set.tasks.len()), (32, 4, 17));
    assert!(set.synthetic);
    assert!(make(&a, 40, 3, &Silent).unwrap_err().to_string().contains("exists"));
    assert!(make(&base.path().join("d"), 9, 3, &Silent).unwrap_err().to_string().contains("`images`"));
    let left: Vec<_> = fs::read_dir(base.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

/// Least squares on the pixels, in squares of 4 x 4, tells every task better than the commonest answer does.
#[test]
fn every_task_is_above_the_majority_for_a_linear_probe_on_pixels() {
    const TRAIN: usize = 1600;
    const BLOCKS: usize = 16;
    let base = tempfile::tempdir().unwrap();
    let set = base.path().join("set");
    make(&set, 2000, 1, &Silent).unwrap();
    let set = celeba::load(&set, &celeba::Options::default(), &Silent).unwrap();
    assert_eq!((set.train.count(), set.test.count()), (TRAIN, 200));
    let features = |images: &crate::data::Images| {
        let (columns, side) = (3 * BLOCKS * BLOCKS + 1, images.height / BLOCKS);
        let mut rows = DMatrix::<f64>::zeros(images.count, columns);
        for i in 0..images.count {
            // The last column is the bias.
            rows[(i, columns - 1)] = 1.0;
            for (p, value) in images.floats(i).unwrap().into_iter().enumerate() {
                let (c, v, u) =
                    (p / images.width / images.height, p / images.width % images.height, p % images.width);
                let block = (c * BLOCKS + v / side) * BLOCKS + u / side;
                rows[(i, block)] += f64::from(value) / (side * side) as f64;
            }
        }
        rows
    };
    let (train, test) = (features(&set.train.images), features(&set.test.images));
    let mut normal = train.tr_mul(&train);
    (0..normal.nrows()).for_each(|i| normal[(i, i)] += 3.0);
    let targets = DMatrix::from_fn(TRAIN, TASKS.len(), |i, t| 2.0 * f64::from(set.train.labels[t][i]) - 1.0);
    let weights = normal.cholesky().unwrap().solve(&train.tr_mul(&targets));
    let said = test * weights;
    for (t, task) in TASKS.iter().enumerate() {
        let labels = &set.test.labels[t];
        let ones = labels.iter().filter(|&&label| label == 1).count();
        let right =
            labels.iter().enumerate().filter(|&(i, &label)| (said[(i, t)] > 0.0) == (label == 1)).count();
        let majority = ones.max(labels.len() - ones);
        assert!(right > majority, "{task}: {right} right, always the commonest {majority}");
    }
}
