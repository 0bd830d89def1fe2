//! A face drawn from its attributes, the eyes where CelebA's aligned photographs have them.

use super::canvas::{Canvas, Color, Point, arc, ellipse, mix};
use super::traits::{Draws, Traits};
use crate::data::celeba::{HEIGHT, WIDTH};

const BLACK: Color = [0.06, 0.05, 0.05];
const WHITE: Color = [0.97, 0.97, 0.96];
const GOLD: Color = [0.95, 0.80, 0.30];

/// Where things are and how they are coloured: what differs between two faces of the same attributes.
struct Look {
    skin: Color,
    hair: Color,
    iris: Color,
    cloth: Color,
    /// The middle of the head and its half-axes.
    head: Point,
    axes: Point,
    /// Half the distance of the eyes, their height and the mouth's.
    eyes: f32,
    eye_y: f32,
    mouth_y: f32,
    /// Where the hair ends above the forehead.
    hairline: f32,
}

/// The picture of a face.
pub fn face(t: &Traits, d: &mut Draws) -> Canvas {
    let look = Look::draw(t, d);
    let mut c = background(d);
    body(&mut c, t, &look, d);
    if !t.has("Bald") {
        back_hair(&mut c, t, &look, d);
    }
    neck(&mut c, t, &look);
    head(&mut c, t, &look);
    beard(&mut c, t, &look);
    mouth(&mut c, t, &look);
    nose(&mut c, t, &look);
    eyes(&mut c, t, &look, d);
    if !t.has("Bald") {
        top_hair(&mut c, t, &look, d);
    }
    ornaments(&mut c, t, &look, d);
    // Light from one side.
    let (side, strength) = (d.between(-1.0, 1.0), d.between(0.0, 0.25));
    c.shade(BLACK, |[x, _]| strength * (0.5 + side * (x / WIDTH as f32 - 0.5)).clamp(0.0, 1.0));
    if t.has("Blurry") {
        c.blur(3);
    }
    c
}

impl Look {
    fn draw(t: &Traits, d: &mut Draws) -> Self {
        let pale = if t.has("Pale_Skin") { 0.0 } else { d.between(0.12, 0.85) };
        let skin = mix([0.98, 0.87, 0.80], [0.50, 0.33, 0.23], pale * pale);
        let shade = d.between(-0.04, 0.04);
        let hair = t.pick(
            &[
                ("Black_Hair", [0.09, 0.08, 0.08]),
                // Redder than every other colour, so that it is no mixture of them and a linear classifier finds it.
                ("Brown_Hair", [0.46, 0.19, 0.07]),
                ("Blond_Hair", [0.90, 0.77, 0.40]),
                ("Gray_Hair", [0.70, 0.70, 0.70]),
            ],
            [0.52, 0.44, 0.34],
        );
        let width = t.pick(&[("Chubby", 50.0), ("Oval_Face", 40.0)], 44.0);
        let man = if t.has("Male") { 1.0 } else { 0.0 };
        let recede = if t.has("Receding_Hairline") { 11.0 } else { 0.0 };
        Look {
            skin,
            hair: hair.map(|c: f32| (c + shade).clamp(0.03, 0.97)),
            iris: [[0.25, 0.15, 0.08], [0.25, 0.42, 0.62], [0.30, 0.45, 0.25]][d.between(0.0, 2.99) as usize],
            cloth: std::array::from_fn(|_| d.between(0.1, 0.85)),
            head: [89.0 + d.between(-1.5, 1.5), 113.0],
            axes: [width + man * 2.0 + d.between(-1.5, 1.5), 55.0 + man * 2.0 + d.between(-1.5, 1.5)],
            eyes: 19.5 + d.between(-1.0, 1.0),
            eye_y: 111.0 + d.between(-1.0, 1.0),
            mouth_y: 146.0 + d.between(-1.5, 1.5),
            hairline: 84.0 - recede + d.between(-2.0, 2.0),
        }
    }

    /// The two eyes, or what is at the same place on either side.
    fn both(&self, out: f32, y: f32) -> [Point; 2] {
        [-1.0, 1.0].map(|side| [self.head[0] + side * out, y])
    }

    fn shadow(&self) -> Color {
        self.skin.map(|c| 0.78 * c)
    }
}

fn background(d: &mut Draws) -> Canvas {
    let [a, b]: [Color; 2] = std::array::from_fn(|_| {
        let gray = d.between(0.25, 0.9);
        std::array::from_fn(|_| (gray + d.between(-0.12, 0.12)).clamp(0.0, 1.0))
    });
    let mut c = Canvas::new(WIDTH, HEIGHT, a);
    c.shade(b, |[_, y]| y / HEIGHT as f32);
    c
}

fn body(c: &mut Canvas, t: &Traits, l: &Look, d: &mut Draws) {
    let x = l.head[0];
    let suit = t.has("Wearing_Necktie");
    let cloth = if suit { mix(l.cloth, [0.12, 0.13, 0.2], 0.8) } else { l.cloth };
    let broad = if t.has("Male") { 84.0 } else { 74.0 };
    c.ellipse(cloth, 1.0, [x, 222.0], [broad, 50.0]);
    if suit {
        // The shirt's opening, wide at the top; the tie comes over the neck.
        c.fill(WHITE, 1.0, |[u, v]| ((u - x).abs() - 24.0 + 0.5 * (v - 172.0)).max(166.0 - v));
    } else if d.between(0.0, 1.0) < 0.4 {
        c.stroke(mix(cloth, WHITE, 0.35), 1.0, &arc([x, 176.0], 24.0, 14.0), 3.0);
    }
}

/// What hangs down behind the face.
fn back_hair(c: &mut Canvas, t: &Traits, l: &Look, d: &mut Draws) {
    let long = !t.has("Male");
    let [x, y] = l.head;
    let length = if long { d.between(58.0, 84.0) } else { d.between(2.0, 12.0) };
    let out = l.axes[0] + if long { 11.0 } else { 4.0 };
    let dark = l.hair.map(|c| 0.72 * c);
    if t.has("Wavy_Hair") {
        let mut v = y - 45.0;
        while v < y + length {
            let sway = 5.0 * (v * 0.22).sin();
            for side in [-1.0, 1.0] {
                c.ellipse(dark, 1.0, [x + side * (out - 6.0 + sway), v], [15.0, 11.0]);
                c.ellipse(l.hair, 1.0, [x + side * (out - 4.0 + sway), v - 2.0], [11.0, 7.0]);
                c.stroke(
                    mix(l.hair, WHITE, 0.25),
                    0.6,
                    &arc([x + side * (out - 4.0 + sway), v], 7.0, 4.0),
                    1.6,
                );
            }
            v += 9.0;
        }
        return;
    }
    c.fill(dark, 1.0, |[u, v]| ((u - x).abs() - out).max(v - y - length).max(y - 35.0 - v));
    if t.has("Straight_Hair") {
        let strands = if long { 9 } else { 4 };
        for side in [-1.0, 1.0] {
            for i in 0..strands {
                let u = x + side * (out - 1.5 - 1.6 * i as f32);
                let tone = mix(l.hair, WHITE, if i % 2 == 0 { 0.22 } else { 0.0 });
                c.stroke(tone, 0.9, &[[u, y - 35.0], [u, y + length - 1.0]], 1.3);
            }
        }
    }
}

fn neck(c: &mut Canvas, t: &Traits, l: &Look) {
    let x = l.head[0];
    let half = if t.has("Male") { 23.0 } else { 18.0 };
    c.fill(l.shadow(), 1.0, |[u, v]| ((u - x).abs() - half).max(v - 182.0).max(140.0 - v));
    c.ellipse(l.shadow(), 1.0, [x, 180.0], [half + 2.0, 12.0]);
    c.ellipse(l.skin, 0.5, [x, 184.0], [half - 4.0, 9.0]);
    if t.has("Double_Chin") {
        c.ellipse(l.skin, 1.0, [x, 166.0], [0.62 * l.axes[0], 11.0]);
        c.stroke(l.shadow(), 0.9, &arc([x, 164.0], 20.0, 7.0), 1.6);
    }
}

fn head(c: &mut Canvas, t: &Traits, l: &Look) {
    let [x, y] = l.head;
    for at in l.both(l.axes[0] - 1.0, y + 2.0) {
        c.ellipse(l.shadow(), 1.0, at, [7.0, 12.0]);
    }
    c.ellipse(l.skin, 1.0, l.head, l.axes);
    if t.has("Male") {
        // A jaw.
        let (w, low) = (l.axes[0] - 7.0, y + l.axes[1] - 7.0);
        c.fill(l.skin, 1.0, |[u, v]| {
            ((u - x).abs() - w + 0.55 * (v - y - 18.0).max(0.0)).max(v - low).max(y + 8.0 - v)
        });
    }
    let edge = ellipse(l.head, l.axes);
    c.shade(l.shadow(), |at| if edge(at) < 0.0 { 0.5 * (1.0 + edge(at) / 9.0).max(0.0) } else { 0.0 });
    if t.has("Bald") {
        c.ellipse(WHITE, 0.45, [x - 10.0, y - 42.0], [13.0, 6.0]);
    }
    if t.has("Rosy_Cheeks") || t.has("Heavy_Makeup") {
        let alpha = if t.has("Rosy_Cheeks") { 0.55 } else { 0.25 };
        for [u, v] in l.both(25.0, l.eye_y + 20.0) {
            c.shade([0.92, 0.35, 0.38], |at| alpha * (1.0 - (at[0] - u).hypot(at[1] - v) / 12.0).max(0.0));
        }
    }
    if t.has("High_Cheekbones") {
        for side in [-1.0, 1.0] {
            let line = [[x + side * 34.0, l.eye_y + 17.0], [x + side * 24.0, l.eye_y + 27.0]];
            c.stroke(l.shadow(), 0.7, &line, 3.0);
        }
    }
    if !t.has("Young") {
        for v in [0.0, 5.0] {
            c.stroke(l.shadow(), 0.7, &arc([x, l.eye_y - 22.0 - v], 18.0, -2.0), 1.0);
        }
        for side in [-1.0, 1.0] {
            let fold = [[x + side * 12.0, l.eye_y + 24.0], [x + side * 20.0, l.mouth_y - 1.0]];
            c.stroke(l.shadow(), 0.9, &fold, 1.4);
        }
    }
}

/// The hair of the lower face.
fn beard(c: &mut Canvas, t: &Traits, l: &Look) {
    let x = l.head[0];
    let tone = if t.has("Bald") { [0.25, 0.17, 0.12] } else { l.hair.map(|c| 0.85 * c) };
    let (inside, bare) = (ellipse(l.head, l.axes), ellipse([x, l.mouth_y - 14.0], [31.0, 21.0]));
    if t.has("5_o_Clock_Shadow") {
        c.fill([0.25, 0.25, 0.28], 0.35, |at| inside(at).max(l.mouth_y - 12.0 - at[1]));
    }
    if !t.has("No_Beard") {
        if t.has("Goatee") {
            c.ellipse(tone, 1.0, [x, l.mouth_y + 14.0], [14.0, 11.0]);
            for side in [-1.0, 1.0] {
                c.stroke(
                    tone,
                    1.0,
                    &[[x + side * 17.0, l.mouth_y - 5.0], [x + side * 12.0, l.mouth_y + 12.0]],
                    5.0,
                );
            }
        } else {
            c.fill(tone, 0.95, |at| inside(at).max(-bare(at)).max(l.mouth_y - 20.0 - at[1]));
        }
    }
    if t.has("Sideburns") {
        for [u, v] in l.both(l.axes[0] - 5.0, l.eye_y) {
            c.stroke(tone, 1.0, &[[u, v - 8.0], [u, v + 22.0]], 7.0);
        }
    }
    if t.has("Mustache") {
        for side in [-1.0, 1.0] {
            let hair = [
                [x + side, l.mouth_y - 8.5],
                [x + side * 10.0, l.mouth_y - 7.5],
                [x + side * 19.0, l.mouth_y - 3.0],
            ];
            c.stroke(tone, 1.0, &hair, 7.0);
        }
    }
}

fn mouth(c: &mut Canvas, t: &Traits, l: &Look) {
    let (x, y) = (l.head[0], l.mouth_y);
    let smile = t.has("Smiling");
    let lipstick = t.has("Wearing_Lipstick");
    let lips = if lipstick { [0.80, 0.06, 0.16] } else { mix(l.skin, [0.66, 0.30, 0.28], 0.55) };
    let thick = if t.has("Big_Lips") { 5.5 } else { 3.2 } + if lipstick { 0.8 } else { 0.0 };
    let (half, drop) = if smile { (20.0, 10.0) } else { (14.0, 0.5) };
    let y = if smile { y - 3.0 } else { y };
    if smile && t.has("Mouth_Slightly_Open") {
        c.fill(WHITE, 1.0, |[u, v]| {
            let s = ((u - x) / half).abs();
            (v - y - (drop + 3.0) * (1.0 - s * s)).max(y - v).max((u - x).abs() - half)
        });
    } else if t.has("Mouth_Slightly_Open") {
        c.ellipse([0.25, 0.05, 0.06], 1.0, [x, y + 1.5], [half - 2.0, 5.0]);
        c.ellipse(WHITE, 1.0, [x, y - 0.5], [half - 5.0, 2.0]);
        c.stroke(lips, 1.0, &arc([x, y], half, -4.0), thick);
        c.stroke(lips, 1.0, &arc([x, y + 2.0], half, 5.5), thick);
        return;
    }
    c.stroke(lips, 1.0, &arc([x, y], half, if smile { drop + 2.0 } else { 3.5 }), thick);
    c.stroke(lips, 1.0, &arc([x, y], half, if smile { 0.35 * drop } else { -2.0 }), 0.8 * thick);
    if smile {
        for side in [-1.0, 1.0] {
            c.stroke(l.shadow(), 1.0, &[[x + side * 24.0, y - 6.0], [x + side * 25.0, y + 4.0]], 1.8);
        }
    }
}

fn nose(c: &mut Canvas, t: &Traits, l: &Look) {
    let (x, low) = (l.head[0], l.eye_y + 22.0);
    let wide = t.pick(&[("Big_Nose", 11.0), ("Pointy_Nose", 5.0)], 7.5);
    let dark = l.skin.map(|c| 0.66 * c);
    c.stroke(l.shadow(), 0.8, &[[x - 3.0, l.eye_y + 2.0], [x - 0.5 * wide, low - 3.0]], 1.8);
    if t.has("Pointy_Nose") {
        c.stroke(dark, 0.9, &[[x - wide, low], [x, low + 4.0], [x + wide, low]], 1.8);
    } else {
        c.ellipse(mix(l.skin, WHITE, 0.18), 0.8, [x, low - 2.0], [0.6 * wide, 4.0]);
        c.stroke(dark, 0.9, &arc([x, low], wide, 3.0), 1.8);
    }
    for at in l.both(0.55 * wide, low + 1.0) {
        c.ellipse(dark, 0.9, at, [1.8, 1.2]);
    }
}

fn eyes(c: &mut Canvas, t: &Traits, l: &Look, d: &mut Draws) {
    let high = if t.has("Narrow_Eyes") { 2.3 } else { 4.6 };
    let brow = if t.has("Bald") { [0.25, 0.18, 0.13] } else { l.hair.map(|c| 0.6 * c) };
    let gaze = d.between(-1.2, 1.2);
    for (side, [u, v]) in [-1.0, 1.0].into_iter().zip(l.both(l.eyes, l.eye_y)) {
        if t.has("Bags_Under_Eyes") {
            c.ellipse(l.skin.map(|c| 0.7 * c), 0.7, [u, v + 6.5], [8.5, 3.5]);
            c.ellipse(l.skin, 0.8, [u, v + 4.5], [8.5, 3.0]);
        }
        if t.has("Heavy_Makeup") {
            c.ellipse([0.35, 0.22, 0.42], 0.75, [u, v - 3.0], [10.5, 6.5]);
        }
        c.ellipse(WHITE, 1.0, [u, v], [8.5, high]);
        let white = ellipse([u, v], [8.5, high]);
        let iris = ellipse([u + gaze, v], [4.3, 4.3]);
        c.fill(l.iris, 1.0, |at| iris(at).max(white(at)));
        let pupil = ellipse([u + gaze, v], [2.1, 2.1]);
        c.fill(BLACK, 1.0, |at| pupil(at).max(white(at)));
        let lid = if t.has("Heavy_Makeup") { 2.4 } else { 1.2 };
        c.stroke(BLACK, 0.9, &arc([u, v - 0.5], 9.0, -high - 0.5), lid);
        let width = t.pick(&[("Bushy_Eyebrows", 6.0), ("Male", 3.6)], 2.2);
        let points = match t.has("Arched_Eyebrows") {
            true => vec![[u - side * 9.0, v - 10.0], [u + side * 4.0, v - 17.0], [u + side * 12.0, v - 10.0]],
            false => arc([u, v - 11.0], 11.0, -2.0),
        };
        c.stroke(brow, 1.0, &points, width);
    }
}

/// The hair on the head, and what of it hangs over the forehead.
fn top_hair(c: &mut Canvas, t: &Traits, l: &Look, d: &mut Draws) {
    let [x, y] = l.head;
    let cap = ellipse([x, y - 6.0], [l.axes[0] + 7.0, l.axes[1] + 6.0]);
    // Down to the hairline in the middle, further at the sides.
    let bend = if t.has("Receding_Hairline") { 0.009 } else { 0.012 };
    let line = |u: f32| l.hairline + bend * (u - x) * (u - x);
    let wave = if t.has("Wavy_Hair") { 2.5 } else { 0.0 };
    let bumps = |at: Point| wave * (0.4 * at[0]).sin() * (0.35 * at[1]).cos();
    c.fill(l.hair, 1.0, |at| (cap(at) - bumps(at)).max(at[1] - line(at[0]) - bumps(at)).max(at[1] - y - 6.0));
    if t.has("Wavy_Hair") {
        for i in 0..7 {
            let u = x - 36.0 + 12.0 * i as f32;
            let v = y - 44.0 + 0.012 * (u - x) * (u - x);
            c.stroke(mix(l.hair, WHITE, 0.25), 0.7, &arc([u, v], 6.0, 4.0), 1.8);
            c.stroke(l.hair.map(|c| 0.7 * c), 0.7, &arc([u + 6.0, v - 5.0], 6.0, -4.0), 1.8);
        }
    } else if t.has("Straight_Hair") {
        for i in 0..12 {
            let u = x - 38.0 + 7.0 * i as f32;
            let tone = mix(l.hair, WHITE, if i % 2 == 0 { 0.4 } else { 0.1 });
            c.stroke(tone, 0.9, &[[x + 0.35 * (u - x), y - 58.0], [u, line(u) - 2.0]], 1.8);
        }
    }
    if t.has("Bangs") {
        let low = l.eye_y - 13.0 + d.between(-2.0, 1.0);
        let inside = ellipse([x, y - 2.0], [l.axes[0] + 2.0, l.axes[1] + 2.0]);
        let fringe = |at: Point| 1.6 * (0.9 * at[0]).sin();
        c.fill(l.hair, 1.0, |at| inside(at).max(at[1] - low - fringe(at)).max(y - 45.0 - at[1]));
        for i in 0..9 {
            let u = x - 30.0 + 7.5 * i as f32;
            c.stroke(l.hair.map(|c| 0.75 * c), 0.7, &[[u, l.hairline - 6.0], [u + 1.5, low - 3.0]], 1.2);
        }
    }
}

/// What is worn.
fn ornaments(c: &mut Canvas, t: &Traits, l: &Look, d: &mut Draws) {
    let [x, y] = l.head;
    let strong: Color =
        [[0.75, 0.1, 0.15], [0.1, 0.2, 0.6], [0.1, 0.45, 0.25]][d.between(0.0, 2.99) as usize];
    if t.has("Wearing_Necktie") {
        c.fill(strong, 1.0, |[u, v]| ((u - x).abs() - 6.5).max(v - 179.0).max(168.0 - v));
        c.fill(strong.map(|c| 0.8 * c), 1.0, |[u, v]| {
            ((u - x).abs() - 5.0 - 0.15 * (v - 179.0)).max(179.0 - v)
        });
    }
    if t.has("Wearing_Necklace") {
        let chain = arc([x, 166.0], 25.0, 13.0);
        c.stroke(GOLD, 1.0, &chain, 2.6);
        chain.iter().for_each(|at| c.ellipse(WHITE, 0.95, *at, [2.4, 2.4]));
        c.ellipse(strong, 1.0, [x, 181.0], [3.5, 4.5]);
    }
    if t.has("Wearing_Earrings") {
        for [u, v] in l.both(l.axes[0] + 3.0, y + 16.0) {
            c.ellipse(GOLD, 1.0, [u, v], [3.6, 3.6]);
            c.ellipse(GOLD, 1.0, [u, v + 9.0], [4.6, 6.0]);
            c.ellipse(WHITE, 0.8, [u - 1.0, v + 7.5], [1.5, 2.0]);
        }
    }
    if t.has("Eyeglasses") {
        let frame = if d.between(0.0, 1.0) < 0.7 { BLACK } else { [0.35, 0.2, 0.1] };
        for at in l.both(l.eyes, l.eye_y + 0.5) {
            let lens = ellipse(at, [14.5, 12.0]);
            c.fill([0.8, 0.88, 0.95], 0.18, &lens);
            c.fill(frame, 1.0, |p| (lens(p)).abs() - 1.7);
        }
        c.stroke(frame, 1.0, &[[x - 5.5, l.eye_y - 1.0], [x + 5.5, l.eye_y - 1.0]], 2.6);
        for side in [-1.0, 1.0] {
            let [near, far] = [l.eyes + 14.0, l.axes[0]].map(|out| [x + side * out, l.eye_y - 2.0]);
            c.stroke(frame, 1.0, &[near, far], 2.4);
        }
    }
    if t.has("Wearing_Hat") {
        let crown = ellipse([x, 76.0], [l.axes[0] + 7.0, 46.0]);
        c.fill(strong, 1.0, |at| crown(at).max(at[1] - 80.0));
        c.fill(strong.map(|c| 0.55 * c), 1.0, |at| crown(at).max(at[1] - 80.0).max(71.0 - at[1]));
        c.ellipse(strong.map(|c| 0.8 * c), 1.0, [x, 82.0], [l.axes[0] + 25.0, 6.5]);
    }
}
