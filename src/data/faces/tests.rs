use image::ImageFormat;

use super::*;
use crate::data::celeba::{self, TASKS};

fn pixels(traits: Traits, i: u32) -> Vec<f32> {
    let (_, jpeg) = picture(5, i, Some(traits)).unwrap();
    let photo = image::load_from_memory_with_format(&jpeg, ImageFormat::Jpeg).unwrap().into_rgb8();
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
                pixels(traits, i)
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
    make(&a, 40, 3, &|| ()).unwrap();
    make(&b, 40, 3, &|| ()).unwrap();
    make(&c, 40, 4, &|| ()).unwrap();
    let photo = |set: &Path| fs::read(set.join(PHOTOS).join("000017.jpg")).unwrap();
    assert_eq!(photo(&a), photo(&b));
    assert_ne!(photo(&a), photo(&c));
    let set = celeba::load(&a, &celeba::Options::default()).unwrap();
    assert_eq!((set.train.count(), set.test.count(), set.tasks.len()), (32, 4, 17));
    assert!(set.synthetic);
    assert!(make(&a, 40, 3, &|| ()).unwrap_err().to_string().contains("exists"));
    assert!(make(&base.path().join("d"), 9, 3, &|| ()).unwrap_err().to_string().contains("--images"));
    let left: Vec<_> = fs::read_dir(base.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}
