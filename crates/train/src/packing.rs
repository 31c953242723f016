//! What a rank packs of its gradients while its backward pass goes on, bucket by bucket.

use crate::parameters::{Parameter, by_rank};
use bonfire_cluster::Sending;
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

/// What a bucket holds.
pub(crate) struct Packed {
    /// Places in the table.
    pub(crate) places: Vec<usize>,
    /// Running statistics, and no gradients.
    pub(crate) statistics: bool,
    /// How many more numbers it takes.
    pub(crate) room: usize,
}

/// Packs tensors as they come, and sends the buckets that are full.
pub(crate) struct Packing<'a, 's> {
    table: &'a [Parameter],
    layout: &'a [Packed],
    packed_in: &'a [Option<usize>],
    late: &'a [bool],
    send: &'a mut Sending<'s>,
    /// For each tensor, what there is of it.
    values: Vec<Found>,
    /// For each bucket, how many tensors it waits for.
    missing: Vec<usize>,
    /// What came too late for its bucket.
    missed: Vec<(usize, Vec<f32>)>,
}

#[derive(Clone, Default)]
enum Found {
    #[default]
    Nothing,
    /// That is not all of it.
    Part(TensorData),
    All(TensorData),
    /// Its bucket is sent.
    Sent,
}

impl<'a, 's> Packing<'a, 's> {
    pub(crate) fn new(
        table: &'a [Parameter],
        layout: &'a [Packed],
        packed_in: &'a [Option<usize>],
        late: &'a [bool],
        send: &'a mut Sending<'s>,
    ) -> Self {
        let missing = layout.iter().map(|packed| packed.places.len()).collect();
        let values = vec![Found::Nothing; table.len()];
        Packing { table, layout, packed_in, late, send, values, missing, missed: Vec::new() }
    }

    /// Takes the gradient of the tensor at a place of the table, as it is known by now.
    pub(crate) fn early(&mut self, at: usize, gradient: TensorData) {
        match self.late[at] {
            true => self.values[at] = Found::Part(gradient),
            false => self.put(at, gradient),
        }
    }

    /// Takes tensors, and what was not known of them early.
    pub(crate) fn rest(&mut self, mut tensors: GradientsParams) {
        let (table, layout) = (self.table, self.layout);
        for &at in layout.iter().flat_map(|packed| &packed.places) {
            let parameter = &table[at];
            let rest: Option<TensorData> = by_rank!(parameter.shape.len(), D => {
                tensors.remove::<D>(parameter.id).map(Tensor::into_data)
            });
            let Some(rest) = rest else { continue };
            match std::mem::take(&mut self.values[at]) {
                Found::Nothing => self.put(at, rest),
                Found::Part(part) => self.put(at, sum(part, rest)),
                known => {
                    self.values[at] = known;
                    self.missed.push((at, numbers(rest)));
                }
            }
        }
    }

    fn put(&mut self, at: usize, tensor: TensorData) {
        self.values[at] = Found::All(tensor);
        let bucket = self.packed_in[at].expect("what is trained is exchanged");
        self.missing[bucket] -= 1;
        if self.missing[bucket] == 0 {
            self.send(bucket);
        }
    }

    fn send(&mut self, bucket: usize) {
        let places = &self.layout[bucket].places;
        let packed = match places[..] {
            [at] => self.take(at),
            _ => {
                let length = places.iter().map(|&at| self.table[at].numbers()).sum();
                let mut packed = Vec::with_capacity(length);
                places.iter().for_each(|&at| packed.extend(self.take(at)));
                packed
            }
        };
        (self.send)(bucket, packed);
    }

    fn take(&mut self, at: usize) -> Vec<f32> {
        match std::mem::take(&mut self.values[at]) {
            Found::All(values) | Found::Part(values) => {
                self.values[at] = Found::Sent;
                numbers(values)
            }
            _ => vec![0.0; self.table[at].numbers()],
        }
    }

    /// Sends what is left to send, and which tensors there are; what came too late.
    pub(crate) fn end(mut self) -> Vec<(usize, Vec<f32>)> {
        for bucket in 0..self.layout.len() {
            if self.missing[bucket] > 0 {
                self.send(bucket);
            }
        }
        let mut marks = vec![0.0; 2 * self.table.len()];
        let (present, missed) = marks.split_at_mut(self.table.len());
        for (present, found) in present.iter_mut().zip(&self.values) {
            *present = f32::from(u8::from(matches!(found, Found::Sent)));
        }
        self.missed.iter().for_each(|&(at, _)| missed[at] = 1.0);
        (self.send)(self.layout.len(), marks);
        self.missed
    }
}

fn numbers(data: TensorData) -> Vec<f32> {
    data.try_into_vec().expect("gradients are f32")
}

fn sum(a: TensorData, b: TensorData) -> TensorData {
    let shape = a.shape().to_vec();
    let mut sum = numbers(a);
    sum.iter_mut().zip(numbers(b)).for_each(|(sum, number)| *sum += number);
    TensorData::new(sum, shape)
}
