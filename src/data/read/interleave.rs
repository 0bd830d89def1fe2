//! Sets that come sorted by class, in another order.
//!
//! What holds images out takes the last ones, and the attack takes the first. Of a set that is sorted by class these
//! would be of one class. So the classes are spread evenly over such a set: any of its beginnings and any of its ends
//! has of each class about the share that the whole set has.

use std::collections::HashMap;

use super::container::reserved;
use super::{Images, Split};
use crate::Result;

/// The order in which images with these labels are to stand, where each class stands in one block: none where they are
/// mixed already. Within a class the order stays.
pub fn order(labels: &[u32]) -> Option<Vec<usize>> {
    let blocks: Vec<&[u32]> = labels.chunk_by(|a, b| a == b).collect();
    let rank: HashMap<u32, usize> = blocks.iter().enumerate().map(|(k, block)| (block[0], k)).collect();
    if rank.len() < blocks.len() || blocks.len() < 2 {
        return None;
    }
    // The k-th image of a class of n stands at (k + 1/2) / n of the way. Equal fractions round to equal floats.
    let places = blocks.iter().flat_map(|block| {
        let n = block.len() as f64;
        (0..block.len()).map(move |k| (k as f64 + 0.5) / n)
    });
    let places: Vec<f64> = places.collect();
    let mut order: Vec<usize> = (0..labels.len()).collect();
    // The sort is stable: of the same place, the class that came first.
    order.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
    Some(order)
}

/// The split with its classes spread evenly, where they stood in blocks.
///
/// # Errors
/// Where there is no memory for it.
pub fn spread(split: Split) -> Result<Split> {
    let Some(order) = order(&split.labels[0]) else { return Ok(split) };
    let (bytes, length) = (split.images.bytes()?, split.images.stored_len());
    let mut pixels = reserved(bytes.len())?;
    order.iter().for_each(|&i| pixels.extend_from_slice(&bytes[i * length..][..length]));
    let images = Images::new(split.images.shape(), pixels);
    let labels = split.labels.iter().map(|labels| order.iter().map(|&i| labels[i]).collect()).collect();
    Ok(Split { images, labels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_in_blocks_are_spread_and_others_stay() {
        let spread = |labels: &[u32]| -> Option<Vec<u32>> {
            order(labels).map(|order| order.into_iter().map(|i| labels[i]).collect())
        };
        assert_eq!(spread(&[0, 0, 0, 0, 1, 1]).unwrap(), [0, 1, 0, 0, 1, 0]);
        assert_eq!(order(&[0, 0, 1, 1]).unwrap(), [0, 2, 1, 3]);
        // The classes need not ascend.
        assert_eq!(order(&[7, 7, 2, 2]).unwrap(), [0, 2, 1, 3]);
        for mixed in [&[0, 1, 0][..], &[1, 0, 2, 0], &[3, 3], &[]] {
            assert_eq!(order(mixed), None);
        }
        assert_eq!(order(&[2, 0, 1]).unwrap(), [0, 1, 2]);
    }

    /// Any beginning and any end has of each class its share, within one image.
    #[test]
    fn every_part_has_all_classes() {
        let sizes = [50, 7, 20, 3];
        let labels: Vec<u32> = (0..).zip(sizes).flat_map(|(class, n)| vec![class; n]).collect();
        let order = order(&labels).unwrap();
        let all = labels.len() as f64;
        for n in 0..=labels.len() {
            for part in [&order[..n], &order[labels.len() - n..]] {
                for (class, size) in (0_u32..).zip(sizes) {
                    let there = part.iter().filter(|&&i| labels[i] == class).count() as f64;
                    let share = size as f64 * n as f64 / all;
                    assert!(
                        (there - share).abs() <= 1.5,
                        "{n} images have {there} of class {class}, not {share}"
                    );
                }
            }
        }
    }
}
