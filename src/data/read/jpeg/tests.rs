use image::codecs::jpeg::JpegEncoder;

use super::*;

/// A picture of 64x48 with something everywhere, in colour (its chroma at half the size) or grey.
fn jpeg(colour: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = image::RgbImage::from_fn(64, 48, |x, y| {
        let noise = (x * 7919 + y * 104_729 + x * y * 31) % 97;
        image::Rgb([(x * 3 + noise) as u8, (y * 4 + noise) as u8, (128 + noise) as u8])
    });
    let picture = image::DynamicImage::from(picture);
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 80);
    match colour {
        true => picture.write_with_encoder(encoder).unwrap(),
        false => image::DynamicImage::from(picture.to_luma8()).write_with_encoder(encoder).unwrap(),
    }
    bytes
}

fn scan(bytes: &[u8]) -> usize {
    let at = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    at + 2 + usize::from(bytes[at + 3])
}

#[test]
fn whole_pictures_pass_whatever_follows_them() {
    for colour in [true, false] {
        let whole = jpeg(colour);
        for tail in [&b""[..], b"\n", b"\0\0", b"\x7f", &whole[..300]] {
            assert_eq!(check(&[&whole, tail].concat()), Ok(()), "{colour} {tail:?}");
        }
    }
}

#[test]
fn a_scan_that_is_cut_is_seen_also_with_an_end_marker() {
    for colour in [true, false] {
        let whole = jpeg(colour);
        let start = scan(&whole);
        for at in (start..whole.len() - 3).step_by(23) {
            let cut = whole[..at].strip_suffix(&[0xff]).unwrap_or(&whole[..at]);
            assert!(check(cut).unwrap_err().contains("truncated"), "cut at {at}");
            let marked = [cut, &[0xff, 0xd9]].concat();
            assert!(check(&marked).unwrap_err().contains("truncated"), "cut at {at} and marked");
        }
        assert!(check(&whole[..100]).is_err());
        assert!(check(&[0xff, 0xd8, 0xff, 0xd9]).unwrap_err().contains("no picture"));
    }
}

/// One flipped bit is seen four times in ten, where it changes a code's length; of several one nearly always is.
#[test]
fn flipped_bits_are_seen_where_they_change_a_length() {
    let whole = jpeg(true);
    let start = scan(&whole);
    let places: Vec<usize> =
        (start..whole.len() - 2).filter(|&at| whole[at] != 0xff && whole[at - 1] != 0xff).collect();
    let (mut seen, mut tried) = (0, 0);
    for &at in places.iter().step_by(7) {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            if flipped[at] != 0xff {
                tried += 1;
                seen += usize::from(check(&flipped).is_err());
            }
        }
    }
    assert!(3 * seen > tried, "{seen} of {tried} flips seen");
    let mut rotten = whole.clone();
    places.iter().step_by(61).for_each(|&at| rotten[at] ^= if rotten[at] ^ 0x15 == 0xff { 0 } else { 0x15 });
    assert!(check(&rotten).is_err());
}
