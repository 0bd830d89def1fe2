//! Which of CelebA's attributes a made face has: drawn one after the other, each with a chance that depends on those
//! before, so that they go together much as they do among the photographs. Rare ones are a few times as common here,
//! that a small set may have enough of each.

use crate::data::celeba::attribute;
use crate::engine::rng::{Key, Purpose, Stream};

/// Draws for one face: functions of the seed, the face's number and how many came before.
#[derive(Debug)]
pub struct Draws(Stream);

impl Draws {
    pub fn new(seed: u64, face: u32) -> Self {
        Draws(Stream::new(Key::new(seed, Purpose::Faces), face))
    }

    /// Uniform between two numbers.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + self.0.uniform() * (high - low)
    }

    fn chance(&mut self, percent: f32) -> bool {
        self.between(0.0, 100.0) < percent
    }
}

/// The attributes of one face, in the official order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits(pub [bool; 40]);

impl Traits {
    pub fn has(&self, name: &str) -> bool {
        self.0[attribute(name)]
    }

    pub fn set(&mut self, name: &str, value: bool) {
        self.0[attribute(name)] = value;
    }

    /// What belongs to the first of the named attributes that the face has, or else `otherwise`.
    pub fn pick<T: Copy>(&self, choices: &[(&str, T)], otherwise: T) -> T {
        choices.iter().find(|(name, _)| self.has(name)).map_or(otherwise, |choice| choice.1)
    }

    /// A face's attributes.
    pub fn draw(d: &mut Draws) -> Self {
        let mut t = Traits([false; 40]);
        let male = d.chance(42.0);
        let young = d.chance(if male { 66.0 } else { 85.0 });
        t.set("Male", male);
        t.set("Young", young);
        // What a man, or a woman, has in percent.
        let mut set = |t: &mut Traits, name: &str, man: f32, woman: f32| {
            let yes = d.chance(if male { man } else { woman });
            t.set(name, yes);
            yes
        };
        let bald = set(&mut t, "Bald", if young { 8.0 } else { 28.0 }, 0.0);
        if !bald {
            // At most one colour.
            let gray =
                set(&mut t, "Gray_Hair", if young { 0.0 } else { 35.0 }, if young { 0.0 } else { 20.0 });
            let blond = !gray && set(&mut t, "Blond_Hair", 6.0, 27.0);
            let black = !gray && !blond && set(&mut t, "Black_Hair", 40.0, 34.0);
            let _ = !gray && !blond && !black && set(&mut t, "Brown_Hair", 55.0, 60.0);
            let wavy = set(&mut t, "Wavy_Hair", 18.0, 48.0);
            let _ = !wavy && set(&mut t, "Straight_Hair", 40.0, 45.0);
            set(&mut t, "Bangs", 10.0, 24.0);
            set(&mut t, "Receding_Hairline", if young { 8.0 } else { 30.0 }, 3.0);
        }
        set(&mut t, "Wearing_Hat", 16.0, 9.0);
        let mustache = set(&mut t, "Mustache", 24.0, 0.0);
        let shaven = !set(&mut t, "No_Beard", 30.0, 0.0) && !mustache;
        t.set("No_Beard", shaven);
        if !shaven {
            set(&mut t, "Goatee", 40.0, 0.0);
            set(&mut t, "Sideburns", 35.0, 0.0);
        }
        set(&mut t, "5_o_Clock_Shadow", if shaven { 25.0 } else { 10.0 }, 0.0);
        let makeup = set(&mut t, "Heavy_Makeup", 0.5, 64.0);
        set(&mut t, "Wearing_Lipstick", 1.0, if makeup { 93.0 } else { 50.0 });
        set(&mut t, "Rosy_Cheeks", 0.5, if makeup { 15.0 } else { 4.0 });
        set(&mut t, "Wearing_Earrings", 3.0, 34.0);
        set(&mut t, "Wearing_Necklace", 3.0, 26.0);
        set(&mut t, "Wearing_Necktie", 26.0, 1.0);
        let glasses = if young { 9.0 } else { 24.0 };
        set(&mut t, "Eyeglasses", glasses + 6.0, glasses);
        let smiling = set(&mut t, "Smiling", 40.0, 54.0);
        let open = if smiling { 70.0 } else { 28.0 };
        set(&mut t, "Mouth_Slightly_Open", open, open);
        let cheeks = if smiling { 70.0 } else { 22.0 };
        set(&mut t, "High_Cheekbones", cheeks - 10.0, cheeks);
        set(&mut t, "Arched_Eyebrows", 4.0, 43.0);
        set(&mut t, "Bushy_Eyebrows", 26.0, 6.0);
        set(&mut t, "Narrow_Eyes", 13.0, 10.0);
        set(&mut t, "Bags_Under_Eyes", if young { 28.0 } else { 55.0 }, if young { 8.0 } else { 25.0 });
        set(&mut t, "Big_Lips", 18.0, 30.0);
        set(&mut t, "Big_Nose", 40.0, 10.0);
        set(&mut t, "Pointy_Nose", 18.0, 35.0);
        let chubby = set(&mut t, "Chubby", if young { 6.0 } else { 22.0 }, 2.0);
        set(&mut t, "Double_Chin", if chubby { 55.0 } else { 3.0 }, if chubby { 45.0 } else { 1.0 });
        let _ = !chubby && set(&mut t, "Oval_Face", 24.0, 34.0);
        set(&mut t, "Pale_Skin", 3.0, 6.0);
        set(&mut t, "Attractive", if young { 35.0 } else { 8.0 }, if young { 75.0 } else { 25.0 });
        set(&mut t, "Blurry", 5.0, 5.0);
        t
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_go_together_as_in_life() {
        let faces: Vec<Traits> = (0..4000).map(|i| Traits::draw(&mut Draws::new(1, i))).collect();
        let share = |of: &dyn Fn(&Traits) -> bool, among: &dyn Fn(&Traits) -> bool| {
            let all = faces.iter().filter(|t| among(t)).count();
            faces.iter().filter(|t| among(t) && of(t)).count() as f64 / all as f64
        };
        for name in crate::data::celeba::TASKS {
            let rate = share(&|t| t.has(name), &|_| true);
            assert!((0.03..0.9).contains(&rate), "{name}: {rate}");
        }
        let (man, woman) = (|t: &Traits| t.has("Male"), |t: &Traits| !t.has("Male"));
        assert!(share(&|t| t.has("Wearing_Lipstick"), &woman) > 0.6);
        assert!(share(&|t| t.has("Wearing_Lipstick"), &man) < 0.05);
        assert_eq!(share(&|t| t.has("Mustache") || t.has("Bald"), &woman), 0.0);
        for t in &faces {
            assert!(!(t.has("Mustache") && t.has("No_Beard")), "{t:?}");
            let colors = ["Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair"];
            let most = if t.has("Bald") { 0 } else { 1 };
            assert!(colors.iter().filter(|c| t.has(c)).count() <= most, "{t:?}");
        }
    }
}
