//! Packs the gradients of one rank into buckets as its backward pass finds them, and sends each bucket once
//! it is full.

use crate::parameters::{Parameter, by_dimensions};
use bonfire_cluster::Sending;
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

/// The tensors of one bucket.
pub(super) struct BucketContent {
    /// Their places in the table of parameters, in the order in which they are packed.
    pub(super) tensors: Vec<usize>,
    /// True for running statistics, false for gradients.
    pub(super) statistics: bool,
    /// The numbers that the bucket still has room for.
    pub(super) room: usize,
}

/// The packing of one exchange.
pub(super) struct Packing<'a, 's> {
    table: &'a [Parameter],
    contents: &'a [BucketContent],
    bucket_of: &'a [Option<usize>],
    late: &'a [bool],
    send: &'a mut Sending<'s>,
    /// For each tensor of the table, its progress.
    arrived: Vec<Arrived>,
    /// For each bucket, how many tensors it waits for.
    missing: Vec<usize>,
    /// Parts of gradients whose buckets were sent before, by their places in the table.
    lacking: Vec<(usize, Vec<f32>)>,
}

/// The progress of a tensor.
#[derive(Clone, Default)]
enum Arrived {
    #[default]
    Nothing,
    /// A gradient that lacks a part.
    Part(TensorData),
    All(TensorData),
    /// Its bucket is sent.
    Sent,
}

impl<'a, 's> Packing<'a, 's> {
    pub(super) fn new(
        table: &'a [Parameter],
        contents: &'a [BucketContent],
        bucket_of: &'a [Option<usize>],
        late: &'a [bool],
        send: &'a mut Sending<'s>,
    ) -> Self {
        let missing = contents.iter().map(|content| content.tensors.len()).collect();
        let arrived = vec![Arrived::Nothing; table.len()];
        Packing { table, contents, bucket_of, late, send, arrived, missing, lacking: Vec::new() }
    }

    /// Takes the gradient of the tensor at a place of the table before the backward pass ends.
    pub(super) fn early(&mut self, at: usize, gradient: TensorData) {
        if self.late[at] {
            self.arrived[at] = Arrived::Part(gradient);
        } else {
            self.put(at, gradient);
        }
    }

    /// Takes tensors that are whole, and the lacking parts of tensors that came early.
    pub(super) fn rest(&mut self, mut tensors: GradientsParams) {
        let (table, contents) = (self.table, self.contents);
        for &at in contents.iter().flat_map(|content| &content.tensors) {
            let parameter = &table[at];
            let rest: Option<TensorData> = by_dimensions!(parameter.shape.len(), D => {
                tensors.remove::<D>(parameter.id).map(Tensor::into_data)
            });
            let Some(rest) = rest else { continue };
            match std::mem::take(&mut self.arrived[at]) {
                Arrived::Nothing => self.put(at, rest),
                Arrived::Part(part) => self.put(at, sum(part, rest)),
                known => {
                    self.arrived[at] = known;
                    self.lacking.push((at, numbers(rest)));
                }
            }
        }
    }

    fn put(&mut self, at: usize, tensor: TensorData) {
        self.arrived[at] = Arrived::All(tensor);
        let bucket = self.bucket_of[at].expect("every trained tensor is in a bucket");
        self.missing[bucket] -= 1;
        if self.missing[bucket] == 0 {
            self.send(bucket);
        }
    }

    fn send(&mut self, bucket: usize) {
        let tensors = &self.contents[bucket].tensors;
        let packed = match tensors[..] {
            [at] => self.take(at),
            _ => {
                let length = tensors.iter().map(|&at| self.table[at].numbers()).sum();
                let mut packed = Vec::with_capacity(length);
                tensors.iter().for_each(|&at| packed.extend(self.take(at)));
                packed
            }
        };
        (self.send)(bucket, packed);
    }

    fn take(&mut self, at: usize) -> Vec<f32> {
        match std::mem::take(&mut self.arrived[at]) {
            Arrived::All(values) | Arrived::Part(values) => {
                self.arrived[at] = Arrived::Sent;
                numbers(values)
            }
            _ => vec![0.0; self.table[at].numbers()],
        }
    }

    /// Sends the buckets that are not full, then the marks: which tensors there are, and which were sent with
    /// a part lacking. These parts come back.
    pub(super) fn end(mut self) -> Vec<(usize, Vec<f32>)> {
        for bucket in 0..self.contents.len() {
            if self.missing[bucket] > 0 {
                self.send(bucket);
            }
        }
        let mut marks = vec![0.0; 2 * self.table.len()];
        let (present, lacking) = marks.split_at_mut(self.table.len());
        for (present, arrived) in present.iter_mut().zip(&self.arrived) {
            *present = f32::from(u8::from(matches!(arrived, Arrived::Sent)));
        }
        self.lacking.iter().for_each(|&(at, _)| lacking[at] = 1.0);
        (self.send)(self.contents.len(), marks);
        self.lacking
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
