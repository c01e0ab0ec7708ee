//! Rows of a batch: columns of even length make as many rows, and rows make columns that give the same rows.

#![no_main]

use barrage_proto::{
    batch::{self, BatchBuilder},
    v2::pb::Batch,
};
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Batch::decode(bytes) else {
        return;
    };
    let Ok(rows) = batch::rows(&message) else {
        return;
    };
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows.len(), message.user.len());
    let mut builder = BatchBuilder::default();
    for row in &rows {
        builder.push(row).expect("the rows of a batch share a partition");
    }
    assert_eq!(builder.len(), rows.len());
    let built = builder.build();
    assert_eq!((&built.sent_delta_ms, &built.offset_delta), (&message.sent_delta_ms, &message.offset_delta));
    let again: Vec<_> = batch::rows(&built).expect("a builder fills columns evenly").collect();
    assert_eq!(again, rows);
});
