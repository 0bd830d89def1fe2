//! `train --tensorboard`: the event file, read back by an independent decoder.

mod common;

use common::{Lab, keys, names};
use serde_json::Value;

/// Step, wall time, and the name and value of each number.
type Event = (u64, f64, Vec<(String, f32)>);

/// The events of a file, read by rules of the formats alone.
fn events(bytes: &[u8]) -> Vec<Event> {
    // A table of CRC-32C, made the other way round from the program's: bit-reversed, highest bit first.
    let crc = |data: &[u8]| {
        let mut crc = u32::MAX;
        for byte in data {
            crc ^= u32::from(byte.reverse_bits()) << 24;
            for _ in 0..8 {
                crc = if crc >> 31 == 1 { crc << 1 ^ 0x1edc_6f41 } else { crc << 1 };
            }
        }
        let crc = !crc.reverse_bits();
        crc.rotate_left(17).wrapping_add(0xa282_ead8)
    };
    /// The fields of a message: number, and the content, of numbers as eight bytes.
    fn fields(mut data: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn varint(data: &mut &[u8]) -> u64 {
            let end = data.iter().position(|byte| byte >> 7 == 0).unwrap();
            let (head, rest) = data.split_at(end + 1);
            *data = rest;
            head.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
        }
        let mut found = Vec::new();
        while !data.is_empty() {
            let key = varint(&mut data);
            let length = match key & 7 {
                0 => {
                    found.push((key >> 3, varint(&mut data).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                2 => varint(&mut data) as usize,
                5 => 4,
                other => panic!("wire type {other}"),
            };
            let (content, rest) = data.split_at(length);
            found.push((key >> 3, content.to_vec()));
            data = rest;
        }
        found
    }
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        assert_eq!(word(at + 8), crc(&bytes[at..at + 8]));
        let data = &bytes[at + 12..at + 12 + length];
        assert_eq!(word(at + 12 + length), crc(data));
        at += length + 16;
        let event = fields(data);
        let get = |number| event.iter().find(|field| field.0 == number).map(|field| field.1.as_slice());
        let time = f64::from_le_bytes(get(1).unwrap().try_into().unwrap());
        if let Some(version) = get(3) {
            assert!(found.is_empty() && version == b"brain.Event:2");
            found.push((0, time, Vec::new()));
            continue;
        }
        let step = u64::from_le_bytes(get(2).unwrap().try_into().unwrap());
        let values = fields(get(5).unwrap()).into_iter().map(|(number, value)| {
            assert_eq!(number, 1);
            let value = fields(&value);
            let name = String::from_utf8(value[0].1.clone()).unwrap();
            (name, f32::from_le_bytes(value[1].1.as_slice().try_into().unwrap()))
        });
        found.push((step, time, values.collect()));
    }
    found
}

#[test]
fn tensorboard_gets_what_the_metrics_have() {
    let lab = Lab::new();
    let number = |line: &Value, key: &str| line[key].as_f64().unwrap();
    let check = |steps: &[u64]| {
        assert_eq!(names(&lab.path("run/tensorboard")), ["events.out.tfevents.smoothenc"]);
        let events = events(&lab.read("run/tensorboard/events.out.tfevents.smoothenc"));
        let lines = lab.text("run/metrics.jsonl");
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events[1..].iter().map(|event| event.0).collect::<Vec<_>>(), steps);
        assert_eq!(lines.len(), steps.len());
        for ((step, time, values), line) in events[1..].iter().zip(&lines) {
            assert_eq!(line["step"], *step);
            assert!(
                (time - events[1].1 - number(line, "seconds") + number(&lines[0], "seconds")).abs() < 1e-3
            );
            let scalars: Vec<_> =
                keys(line).into_iter().filter(|key| !["step", "seconds"].contains(key)).collect();
            assert_eq!(values.iter().map(|value| value.0.as_str()).collect::<Vec<_>>(), scalars);
            for (name, value) in values {
                assert_eq!(*value, number(line, name) as f32, "{name}");
            }
        }
    };
    lab.train("run", "--no-attack --tensorboard --iterations 100");
    check(&[50, 100]);
    // A resumed run's file has every step once.
    lab.ok("train --resume run --iterations 200");
    check(&[50, 100, 150, 200]);
    lab.train("without", "--no-attack");
    assert!(!lab.path("without/tensorboard").exists());
}
