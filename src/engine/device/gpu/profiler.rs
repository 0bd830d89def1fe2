//! Times by the device's own clock, for benchmarks.

use super::{Buffer, Gpu, Program};
use crate::error::Result;

impl Gpu {
    /// Waits until all submitted work is done.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) for what wgpu reports, such as a lost device.
    pub fn finish(&self) -> Result<()> {
        self.wait(None)
    }

    /// True where the adapter is software, such as lavapipe.
    pub fn is_software(&self) -> bool {
        self.0.info.device_type == wgpu::DeviceType::Cpu
    }

    /// The most bytes of a binding.
    pub fn binding_bytes(&self) -> u64 {
        self.0.limits.max_storage_buffer_binding_size.min(self.0.limits.max_buffer_size)
    }

    fn has_timestamps(&self) -> bool {
        self.0.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }
}

impl Program {
    /// Runs the recording once, waits for it, and returns the seconds between the device's time stamps at the start and
    /// the end of its work. `None`, without a run, where the device has no time stamps. Some drivers return zeros.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) for what wgpu reports.
    pub fn run_timed(&mut self) -> Result<Option<f64>> {
        let gpu = self.gpu().clone();
        if !gpu.has_timestamps() {
            return Ok(None);
        }
        let device = &gpu.0.device;
        let (queries, resolved) = gpu.scoped(
            || "the time stamps".into(),
            || {
                let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("time stamps"),
                    ty: wgpu::QueryType::Timestamp,
                    count: 2,
                });
                let resolved = device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("time stamps"),
                    size: 16,
                    usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                    mapped_at_creation: false,
                });
                (queries, resolved)
            },
        )?;
        let kept = Buffer::new(&gpu, "time stamps", 4)?;
        let mut ticks = 0;
        for span in 0..self.submissions() {
            let mut encoder = device.create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: None,
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &queries,
                        beginning_of_pass_write_index: Some(0),
                        end_of_pass_write_index: Some(1),
                    }),
                });
                self.encode(&mut pass, span);
            }
            encoder.resolve_query_set(&queries, 0..2, &resolved, 0);
            encoder.copy_buffer_to_buffer(&resolved, 0, kept.raw(), 0, 16);
            gpu.submit(encoder.finish())?;
            let mut words = [0_u32; 4];
            kept.read(0, &mut words)?;
            let at = |i: usize| u64::from(words[i]) | u64::from(words[i + 1]) << 32;
            ticks += at(2).saturating_sub(at(0));
        }
        Ok(Some(ticks as f64 * f64::from(gpu.0.queue.get_timestamp_period()) * 1e-9))
    }
}
