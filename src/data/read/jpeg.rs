//! Whether the picture in a JPEG is whole.
//!
//! Decoders fill what is lacking with grey and go on after a damaged code as if nothing were; so the codes are walked
//! here without being turned into pixels. A scan that is cut ends before its last block, and a flipped bit that
//! changes a code's length leaves bits over or runs out of them. (A bit flipped within a coefficient's value changes
//! the picture and no length: that cannot be seen, and neither can a shift that the codes make up for later. Of
//! progressive JPEGs, which have many scans, the decoder's strict mode is asked.)

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::options::DecoderOptions;

/// What is wrong with a JPEG, to be put after its name. What follows its end marker does not matter.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let mut walk = Walk { bytes, at: 2, ..Walk::default() };
    if walk.run()? {
        return Ok(());
    }
    let strict = DecoderOptions::default().set_strict_mode(true);
    let decoded = JpegDecoder::new_with_options(ZCursor::new(bytes), strict).decode();
    decoded.map(|_| ()).map_err(|error| format!("is damaged: {error}"))
}

const CUT: &str = "is truncated: its end is missing";
const SHORT: &str = "is truncated: its scan ends before the picture does";
const CODE: &str = "is damaged: its scan has a code that cannot be";
const LONG: &str = "is damaged: its scan goes on after the picture's last block";

/// A table of Huffman codes: for each length the first code, the number of codes, and where their symbols begin.
#[derive(Clone, Default)]
struct Codes {
    lengths: [(u32, u32, usize); 16],
    symbols: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
struct Component {
    id: u8,
    across: usize,
    down: usize,
}

#[derive(Default)]
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// DC tables, then AC tables.
    codes: [Codes; 8],
    components: Vec<Component>,
    width: usize,
    height: usize,
    sequential: bool,
    restart: usize,
    scans: usize,
    /// Bits of the byte before `at` that are still to be read, and how many.
    bits: u8,
    left: u32,
}

impl Walk<'_> {
    /// Walks to the end marker; whether every scan was looked into.
    fn run(&mut self) -> Result<bool, String> {
        loop {
            match self.marker()? {
                0xd9 if self.scans == 0 => return Err("has no picture in it".into()),
                0xd9 => return Ok(self.sequential),
                0x01 | 0xd0..=0xd8 => {}
                marker => self.segment(marker)?,
            }
        }
    }

    fn byte(&mut self) -> Result<u8, String> {
        let byte = *self.bytes.get(self.at).ok_or(CUT)?;
        self.at += 1;
        Ok(byte)
    }

    fn marker(&mut self) -> Result<u8, String> {
        if self.byte()? != 0xff {
            return Err("is damaged: there is no marker where one must be".into());
        }
        loop {
            match self.byte()? {
                0xff => {}
                marker => return Ok(marker),
            }
        }
    }

    fn segment(&mut self, marker: u8) -> Result<(), String> {
        let length = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?]));
        let end = self.at + length.max(2) - 2;
        let bytes = self.bytes;
        let body = bytes.get(self.at..end).ok_or(CUT)?;
        self.at = end;
        let wrong = || format!("is damaged: its segment {marker:02x} does not read");
        match marker {
            0xc4 => self.read_codes(body).ok_or_else(wrong),
            0xc0..=0xcf if marker != 0xc8 && marker != 0xcc => self.frame(marker, body).ok_or_else(wrong),
            0xdd => {
                let [high, low, ..] = *body else { return Err(wrong()) };
                self.restart = usize::from(u16::from_be_bytes([high, low]));
                Ok(())
            }
            0xda => {
                self.scans += 1;
                if !self.sequential {
                    self.skip_scan();
                    return Ok(());
                }
                let scan = self.scan_of(body).ok_or_else(wrong)?;
                self.scan(&scan)
            }
            _ => Ok(()),
        }
    }

    fn read_codes(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&class, rest)) = body.split_first() {
            let (counts, rest) = rest.split_at_checked(16)?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            let place = usize::from(class >> 4) * 4 + usize::from(class & 15);
            let codes = self.codes.get_mut(place).filter(|_| class & 15 < 4)?;
            let (mut code, mut first) = (0_u32, 0);
            for (length, &count) in codes.lengths.iter_mut().zip(counts) {
                *length = (code, u32::from(count), first);
                first += usize::from(count);
                code = (code + u32::from(count)) << 1;
            }
            codes.symbols = symbols.to_vec();
            body = rest;
        }
        Some(())
    }

    fn frame(&mut self, marker: u8, body: &[u8]) -> Option<()> {
        let &[_, h1, h0, w1, w0, count, ref rest @ ..] = body else { return None };
        self.height = usize::from(u16::from_be_bytes([h1, h0]));
        self.width = usize::from(u16::from_be_bytes([w1, w0]));
        let components = rest.chunks_exact(3).take(usize::from(count));
        self.components = components
            .map(|c| Component { id: c[0], across: usize::from(c[1] >> 4), down: usize::from(c[1] & 15) })
            .collect();
        let sound = |c: &Component| (1..=4).contains(&c.across) && (1..=4).contains(&c.down);
        // A height of 0 is told after the scan, which is as rare as a progressive picture is to be left to the decoder.
        self.sequential = matches!(marker, 0xc0 | 0xc1) && self.height > 0;
        (self.components.len() == usize::from(count) && count > 0 && self.width > 0)
            .then_some(())
            .filter(|()| self.components.iter().all(sound))
    }

    /// The components of a scan with the numbers of their tables.
    fn scan_of(&self, body: &[u8]) -> Option<Vec<(Component, usize, usize)>> {
        let (&count, rest) = body.split_first()?;
        let parts = rest.chunks_exact(2).take(usize::from(count)).map(|part| {
            let component = self.components.iter().find(|c| c.id == part[0])?;
            let (dc, ac) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
            (dc < 4 && ac < 4).then_some((*component, dc, 4 + ac))
        });
        let parts: Vec<_> = parts.collect::<Option<_>>()?;
        (parts.len() == usize::from(count) && count > 0).then_some(parts)
    }

    /// Goes to the next marker that is not part of a scan.
    fn skip_scan(&mut self) {
        let part = |next: &[u8]| next[0] != 0xff || matches!(next[1], 0 | 0xd0..=0xd7 | 0xff);
        let rest = &self.bytes[self.at..];
        self.at += rest.windows(2).position(|next| !part(next)).unwrap_or(rest.len());
    }

    fn scan(&mut self, parts: &[(Component, usize, usize)]) -> Result<(), String> {
        let most = |of: fn(&Component) -> usize| self.components.iter().map(of).max().unwrap_or(1);
        let (across, down) = (most(|c| c.across), most(|c| c.down));
        // A component alone has its own blocks only; several come in units that cover the same part of the picture.
        let (units, blocks): (usize, Vec<usize>) = match parts {
            [(c, ..)] => {
                let wide = (self.width * c.across).div_ceil(8 * across);
                (wide * (self.height * c.down).div_ceil(8 * down), vec![1])
            }
            _ => {
                let units = self.width.div_ceil(8 * across) * self.height.div_ceil(8 * down);
                (units, parts.iter().map(|(c, ..)| c.across * c.down).collect())
            }
        };
        self.left = 0;
        for unit in 0..units {
            if self.restart > 0 && unit > 0 && unit % self.restart == 0 {
                self.left = 0;
                let expected = 0xd0 + ((unit / self.restart - 1) % 8) as u8;
                if self.marker().map_err(|_| SHORT)? != expected {
                    return Err(CODE.into());
                }
            }
            for (&(_, dc, ac), &count) in parts.iter().zip(&blocks) {
                for _ in 0..count {
                    self.block(dc, ac)?;
                }
            }
        }
        self.left = 0;
        match self.bytes.get(self.at..) {
            Some([0xff, 0, ..]) => Err(LONG.into()),
            Some([0xff, ..]) => Ok(()),
            Some([]) | None => Err(CUT.into()),
            Some(_) => Err(LONG.into()),
        }
    }

    /// One block: a difference of the mean, then runs of zeros with a coefficient after each.
    fn block(&mut self, dc: usize, ac: usize) -> Result<(), String> {
        let size = self.symbol(dc)?;
        if size > 11 {
            return Err(CODE.into());
        }
        self.skip(u32::from(size))?;
        let mut k = 1;
        while k < 64 {
            let (run, size) = match self.symbol(ac)? {
                0 => break,
                symbol => (symbol >> 4, symbol & 15),
            };
            if size == 0 && run != 15 {
                return Err(CODE.into());
            }
            k += usize::from(run) + 1;
            if k > 64 {
                return Err(CODE.into());
            }
            self.skip(u32::from(size))?;
        }
        Ok(())
    }

    fn symbol(&mut self, table: usize) -> Result<u8, String> {
        let mut code = 0;
        for length in 0..16 {
            code = code << 1 | self.bit()?;
            let (first, count, place) = self.codes[table].lengths[length];
            if code >= first && code - first < count {
                let symbol = self.codes[table].symbols.get(place + (code - first) as usize);
                return symbol.copied().ok_or_else(|| CODE.into());
            }
        }
        Err(CODE.into())
    }

    fn skip(&mut self, bits: u32) -> Result<(), String> {
        for _ in 0..bits {
            self.bit()?;
        }
        Ok(())
    }

    fn bit(&mut self) -> Result<u32, String> {
        if self.left == 0 {
            self.bits = match *self.bytes.get(self.at..).unwrap_or_default() {
                [0xff, 0, ..] => {
                    self.at += 2;
                    0xff
                }
                [0xff, ..] | [] => return Err(SHORT.into()),
                [byte, ..] => {
                    self.at += 1;
                    byte
                }
            };
            self.left = 8;
        }
        self.left -= 1;
        Ok(u32::from(self.bits >> self.left & 1))
    }
}

#[cfg(test)]
mod tests;
