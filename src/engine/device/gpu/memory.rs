//! Device memory, and copies to and from the host.

use std::rc::Rc;

use wgpu::BufferUsages;

use super::Gpu;
use crate::error::{Error, Result};

/// The usages of every storage buffer.
pub(super) const STORAGE: BufferUsages =
    BufferUsages::STORAGE.union(BufferUsages::COPY_SRC).union(BufferUsages::COPY_DST);

/// Words that are copied to or from the host at a time (16 MiB), so that copying a large data set needs little staging
/// memory.
const PIECE: usize = 4 << 20;

/// Device memory. Clones share it.
#[derive(Debug, Clone)]
pub struct Buffer {
    raw: wgpu::Buffer,
    words: usize,
    gpu: Gpu,
}

/// A buffer of at least one vector, zeroed by wgpu.
pub(super) fn create(device: &wgpu::Device, label: &str, words: usize, usage: BufferUsages) -> wgpu::Buffer {
    let size = 4 * words.max(1).next_multiple_of(4) as u64;
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage,
        mapped_at_creation: false,
    })
}

impl Buffer {
    pub(super) fn new(gpu: &Gpu, label: &str, words: usize) -> Result<Self> {
        let (bytes, most) = (4 * words as u64, gpu.0.limits.max_buffer_size);
        if bytes > most {
            let (bytes, most) = (bytes.div_ceil(1 << 20), most >> 20);
            let text = format!("{label} of {bytes} MiB: {} allows {most} MiB a buffer", gpu.0.info.name);
            return Err(Error::too_large(text));
        }
        let what = || format!("{label} of {} KiB", bytes >> 10);
        let raw = gpu.scoped(what, || create(&gpu.0.device, label, words, STORAGE))?;
        Ok(Buffer { raw, words, gpu: gpu.clone() })
    }

    /// Whether it is memory of `gpu`.
    pub fn is_of(&self, gpu: &Gpu) -> bool {
        Rc::ptr_eq(&self.gpu.0, &gpu.0)
    }

    pub(super) fn raw(&self) -> &wgpu::Buffer {
        &self.raw
    }

    /// Its size in words.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Copies `data` to words `offset ..`, after the work submitted before.
    ///
    /// # Errors
    /// [`Error::Device`] for words beyond the end and for what wgpu reports.
    pub fn write(&self, offset: usize, data: &[u32]) -> Result<()> {
        let queue = &self.gpu.0.queue;
        for (i, piece) in data.chunks(PIECE).enumerate() {
            let at = 4 * (offset + i * PIECE) as u64;
            self.gpu.scoped(
                || "a write to the device".into(),
                || queue.write_buffer(&self.raw, at, bytemuck::cast_slice(piece)),
            )?;
            if piece.len() == PIECE {
                // Lets wgpu free its staging memory before it allocates more.
                queue.submit([]);
                self.gpu.wait(None)?;
            }
        }
        Ok(())
    }

    /// Copies words `offset ..` to `data`, after the work submitted before.
    ///
    /// # Errors
    /// [`Error::Device`] for words beyond the end and for what wgpu reports.
    pub fn read(&self, offset: usize, data: &mut [u32]) -> Result<()> {
        for (i, piece) in data.chunks_mut(PIECE).enumerate() {
            self.read_piece(offset + i * PIECE, piece)?;
        }
        Ok(())
    }

    fn read_piece(&self, offset: usize, data: &mut [u32]) -> Result<()> {
        let what = || "a read from the device".to_string();
        let gpu = &self.gpu;
        let staging = self.staging(data.len())?;
        let bytes = 4 * data.len() as u64;
        let commands = gpu.scoped(what, || {
            let mut encoder = gpu.0.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&self.raw, 4 * offset as u64, &staging, 0, bytes);
            encoder.finish()
        })?;
        gpu.submit(commands)?;
        let (done, mapped) = std::sync::mpsc::channel();
        gpu.scoped(what, || {
            staging.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
                // The receiver is gone only where the wait below has failed.
                let _ = done.send(result);
            });
        })?;
        gpu.wait(None)?;
        let failed = |e: &dyn std::error::Error| Error::device(format!("{}: {e}", what()));
        mapped.recv().map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
        {
            let view = staging.get_mapped_range(..bytes).map_err(|e| failed(&e))?;
            bytemuck::cast_slice_mut::<u32, u8>(data).copy_from_slice(&view);
        }
        staging.unmap();
        Ok(())
    }

    /// The device's staging buffer, enlarged where it is too small.
    fn staging(&self, words: usize) -> Result<wgpu::Buffer> {
        let mut kept = self.gpu.0.staging.borrow_mut();
        if let Some(buffer) = kept.as_ref().filter(|b| b.size() >= 4 * words as u64) {
            return Ok(buffer.clone());
        }
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let words = words.next_power_of_two().max(1024);
        let what = || "the staging buffer for reads".to_string();
        let buffer = self.gpu.scoped(what, || create(&self.gpu.0.device, "staging", words, usage))?;
        *kept = Some(buffer.clone());
        Ok(buffer)
    }
}
