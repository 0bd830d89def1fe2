use super::*;
use crate::report::draw::{Anchor, PNG_SCALE};

/// One of every kind of plot, awkward data among them.
fn all_kinds() -> Vec<(&'static str, Drawing)> {
    let radii = [0.0, 0.01, 0.1, 0.2, 0.3];
    let curve = |values: [f64; 5]| radii.into_iter().zip(values).collect::<Vec<_>>();
    let around = |values: [f64; 5], by: f64| values.map(|v| (v - by, v + by));
    let (se, vae) = ([97.1, 96.0, 70.0, 20.0, 1.0], [93.3, 80.0, 4.0, 0.0, 0.0]);
    let security = Chart::new("Accuracy under attack", "radius (L∞, pixels in [0, 1])", "accuracy (%)")
        .with(Series::marked("SE, γ 20", curve(se)).whiskers(around(se, 3.0)))
        .with(Series::marked("VAE", curve(vae)).band(around(vae, 6.0)).dashed())
        .reference(11.4, "always the most frequent class")
        .y_range(0.0, 100.0);
    let steps = (1..=200).map(|i| 100.0 * f64::from(i));
    let learning = Chart::new("Loss", "step", "nats").with(Series::line(
        "loss",
        steps.map(|s| (s, if s == 5000.0 { f64::NAN } else { 9000.0 / s.sqrt() - 700.0 })),
    ));
    let scatter = Chart::new(
        "A long title that has to be broken into two lines since it says very much",
        "γ",
        "accuracy (%)",
    )
    .with(Series::points("radius 0.1", [(0.01, 5.0), (0.1, 20.0), (1.0, 35.0), (50.0, 45.0), (0.0, 1.0)]))
    .with(Series::points("radius 0.2", [(0.01, 1.0), (0.1, 4.0), (1.0, 5.0), (50.0, 12.0)]))
    .log_x();
    let many = (0..17).fold(Chart::new("Seventeen tasks", "radius", "accuracy (%)"), |chart, i| {
        let line = Series::line(
            format!("Wearing_Something_{i}"),
            curve([90.0 - i as f64, 80.0, 50.0, 20.0 + i as f64, 5.0]),
        );
        chart.with(if i < 7 { line } else { line.dashed() })
    });
    let values: Vec<f64> = (0..500).map(|i| f64::from(i * 7919 % 1000) / 500.0).collect();
    let squares: Vec<f64> = values.iter().map(|v| v * v / 2.0).collect();
    let histogram = Chart::new("Local Lipschitz ratio", "|μ(x) − μ(x*)| / |x − x*|", "images")
        .with(Series::histogram("SE", &values, (0.0, 2.0), 20))
        .with(Series::histogram("VAE", &squares, (0.0, 2.0), 20));
    let names = (0..17).map(|i| format!("Wearing_Lipstick_{i}"));
    let bars = Bars::new("Table 1", "", "accuracy (%)", names)
        .with("nominal", (0..17).map(|i| 95.0 - f64::from(i)))
        .with("radius 0.1", (0..17).map(|i| 60.0 - 3.0 * f64::from(i)))
        .whiskers((0..17).map(|i| (55.0 - 3.0 * f64::from(i), 63.0 - 3.0 * f64::from(i))))
        .reference(50.0, "chance")
        .size(760.0, 420.0);
    let few = Bars::new("Restarts", "restarts", "accuracy (%)", ["1", "10"]).with("", [40.0, 38.5]);
    let table = (0..50).map(|i| (0..40).map(|j| f64::from(i * j % 37) / 37.0).collect()).collect();
    let heat = HeatMap::new("Encoder q(z|x)", "z", "x", "probability", table);
    let confusion = (0..10)
        .map(|i| (0..10).map(|j| if i == j { 80.0 } else { f64::from(i * j % 7) }).collect())
        .collect();
    let confusion =
        HeatMap::new("Confusion at radius 0.1", "answer", "true class", "% of the class", confusion)
            .columns((0..10).map(|i| i.to_string()))
            .rows((0..10).map(|i| i.to_string()))
            .numbers(0)
            .range(0.0, 100.0);
    let empty = Chart::new("Nothing", "x", "y").with(Series::line("none", []));
    let panels = Drawing::panels(
        "Two panels under one title",
        2,
        &[few.drawing(), histogram.drawing(), heat.drawing()],
    );
    vec![
        ("security", security.drawing()),
        ("learning", learning.drawing()),
        ("scatter", scatter.drawing()),
        ("many", many.drawing()),
        ("histogram", histogram.drawing()),
        ("bars", bars.drawing()),
        ("few", few.drawing()),
        ("heat", heat.drawing()),
        ("confusion", confusion.drawing()),
        ("empty", empty.drawing()),
        ("panels", panels),
    ]
}

/// The rectangle that a mark covers: left, top, right, bottom.
fn extent(mark: &Mark) -> [f64; 4] {
    let of = |points: &[Point]| {
        points.iter().fold([f64::MAX, f64::MAX, f64::MIN, f64::MIN], |e, p| {
            [e[0].min(p.0), e[1].min(p.1), e[2].max(p.0), e[3].max(p.1)]
        })
    };
    match mark {
        Mark::Line { points, .. } | Mark::Area { points, .. } => of(points),
        Mark::Disc { centre, radius, .. } => {
            [centre.0 - radius, centre.1 - radius, centre.0 + radius, centre.1 + radius]
        }
        Mark::Image { at, size, .. } => [at.0, at.1, at.0 + size.0, at.1 + size.1],
        Mark::Text(text) => {
            let before = match text.anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => text.width() / 2.0,
                Anchor::End => text.width(),
            };
            let (along, (x, y)) = ((-before, text.width() - before), text.at);
            match text.turned {
                false => [x + along.0, y - 0.8 * text.size, x + along.1, y + 0.25 * text.size],
                true => [x - 0.8 * text.size, y - along.1, x + 0.25 * text.size, y - along.0],
            }
        }
    }
}

#[test]
fn nothing_is_cut_off_and_no_texts_overlap() {
    for (name, drawing) in all_kinds() {
        let mut texts: Vec<([f64; 4], &str)> = Vec::new();
        for mark in &drawing.marks {
            let [left, top, right, bottom] = extent(mark);
            let inside = left >= 0.0 && top >= 0.0 && right <= drawing.width && bottom <= drawing.height;
            assert!(inside, "{name}: {mark:?} on {} x {}", drawing.width, drawing.height);
            if let Mark::Text(text) = mark {
                for (other, words) in &texts {
                    let apart =
                        right <= other[0] || left >= other[2] || bottom <= other[1] || top >= other[3];
                    assert!(apart, "{name}: {:?} lies over {words:?}", text.text);
                }
                texts.push(([left, top, right, bottom], &text.text));
            }
        }
    }
}

/// Both files of every kind; they stay in the directory `SMOOTHENC_PICTURES` where it is set, to be looked at.
#[test]
fn every_kind_becomes_svg_and_png() {
    let base = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("SMOOTHENC_PICTURES").map(std::path::PathBuf::from);
    let directory = kept.as_deref().unwrap_or(base.path());
    for (name, drawing) in all_kinds() {
        for (file, content) in drawing.files(name).unwrap() {
            std::fs::write(directory.join(file), content).unwrap();
        }
        let png = image::open(directory.join(format!("{name}.png"))).unwrap().into_rgb8();
        let side = |length: f64| (length * PNG_SCALE).ceil() as u32;
        assert_eq!(png.dimensions(), (side(drawing.width), side(drawing.height)), "{name}");
        assert!(png.pixels().any(|p| p.0 == Colour::Ink.rgb()), "{name} has no text");
        let svg = std::fs::read_to_string(directory.join(format!("{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{name}");
        assert!(svg.contains(&format!("<title>{}</title>", drawing.title)), "{name}");
    }
}

#[test]
fn points_lie_where_the_axes_say() {
    let chart = Chart::new("", "", "")
        .with(Series::points("", [(0.0, 0.0), (10.0, 100.0), (5.0, 50.0), (20.0, 50.0)]))
        .x_range(0.0, 10.0)
        .y_range(0.0, 100.0);
    let drawing = chart.drawing();
    let discs: Vec<Point> = drawing
        .marks
        .iter()
        .filter_map(|m| if let Mark::Disc { centre, .. } = m { Some(*centre) } else { None })
        .collect();
    assert_eq!(discs.len(), 3, "what lies outside a range that was asked for is not drawn");
    assert!(discs[1].0 > discs[0].0 && discs[1].1 < discs[0].1, "y upwards");
    let middle = ((discs[0].0 + discs[1].0) / 2.0, (discs[0].1 + discs[1].1) / 2.0);
    assert!((discs[2].0 - middle.0).abs() < 1e-9 && (discs[2].1 - middle.1).abs() < 1e-9);
}

#[test]
fn lines_are_cut_at_the_edges_and_broken_at_gaps() {
    let inside = Inside { low: (0.0, 0.0), high: (10.0, 10.0) };
    assert_eq!(inside.clip((-10.0, 5.0), (20.0, 5.0)), Some(((0.0, 5.0), (10.0, 5.0))));
    assert_eq!(inside.clip((5.0, 5.0), (5.0, 25.0)), Some(((5.0, 5.0), (5.0, 10.0))));
    assert_eq!(inside.clip((-5.0, 0.0), (0.0, 20.0)), None);
    assert_eq!(inside.clip((1.0, f64::NAN), (2.0, 2.0)), None);
    let series = Series::line("", []);
    let pen = Pen { series: &series, style: 0, inside, base: 10.0 };
    let gap = [(1.0, 1.0), (2.0, 2.0), (3.0, f64::NAN), (4.0, 4.0), (5.0, 5.0), (6.0, 5.0)];
    assert_eq!(pen.pieces(&gap), [vec![(1.0, 1.0), (2.0, 2.0)], vec![(4.0, 4.0), (5.0, 5.0), (6.0, 5.0)]]);
}

#[test]
fn a_histogram_counts_every_value_once() {
    let values = [0.0, 0.1, 0.5, 0.99, 1.0, 1.5, f64::NAN];
    let series = Series::histogram("", &values, (0.0, 1.0), 2);
    assert_eq!(series.points, [(0.25, 2.0), (0.75, 3.0)]);
    assert_eq!(series.columns, Some(0.5));
}
