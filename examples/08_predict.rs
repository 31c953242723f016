//! A finished run within a program, asked with messages from memory. After `bonfire train sms`, a promise of
//! a prize has a probability above 0.9 of being spam.
//!
//! cargo run --release -- train sms --run runs/sms
//! cargo run --release --example 08_predict -- runs/sms

use bonfire::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "runs/sms".to_string());
    let run = Run::open(folder)?;
    // Owned and `Send`: it may move to another thread, and outlive the run.
    let mut predictor = run.predictor(device::open("cpu")?)?;
    let spam =
        predictor.labels().iter().position(|label| label == "1").ok_or("expected a class 1, found none")?;

    let messages = [
        "Congratulations! You have won a prize of 1000 pounds. Call 09061701461 now to claim it, free of charge",
        "I am on the bus, shall we have dinner at seven?",
    ];
    // `Record::Picture` takes the bytes of a picture file, `Record::Row` the cells of a row by their
    // names.
    let records = messages.iter().map(|message| Record::Text(message.to_string())).collect();
    for (message, answer) in messages.iter().zip(predictor.answer(records)?) {
        match answer? {
            Answer::Class { probabilities, .. } => {
                println!("spam with {:.3}: {message}", probabilities[spam])
            }
            other => println!("{other:?}: {message}"),
        }
    }
    Ok(())
}
