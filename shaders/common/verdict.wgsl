// A row's verdict over the points it was classified at: how many were right before the first wrong one, and WRONG more
// from that one on.

const WRONG = 0x80000000u;

// The verdict after one more point.
fn verdict(before: u32, right: bool) -> u32 {
    let after = before + select(WRONG, 1u, right);
    return select(after, before, before >= WRONG);
}
