//! Version 1 encodes and decodes without allocation.

// The trait of an allocator is unsafe by its nature; this one only counts and passes on.
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

use barrage_proto::v1::{self, Frame, FrameType};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator with its arguments unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `work` runs.
fn allocations_of(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn frame(content: &str) -> Frame<'_> {
    Frame { frame_type: FrameType::Danmaku, timestamp_ms: 1_696_118_400_000, user_id: 123_456, content }
}

#[test]
fn the_count_counts() {
    assert_eq!(allocations_of(|| drop(black_box(vec![1_u8]))), 1);
}

#[test]
fn decoding_allocates_nothing() {
    let mut message = Vec::new();
    for content in ["Hello", "", "哈哈🎉"] {
        frame(content).encode(&mut message).unwrap();
    }
    let bad_utf8 = message.len() - 1;
    let truncated = message[..bad_utf8].to_vec();
    let mut unknown_type = message.clone();
    unknown_type[3] = 0x7f;
    message[bad_utf8] = 0xff;
    let allocations = allocations_of(|| {
        for bytes in [&message, &truncated, &unknown_type] {
            assert_eq!(v1::frames(black_box(bytes)).count(), 3);
            let _ = black_box(v1::decode_exact(bytes));
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn encoding_into_room_that_is_there_allocates_nothing() {
    let mut out = Vec::with_capacity(1024);
    let too_long = "x".repeat(v1::CONTENT_BYTES_MAX + 1);
    let allocations = allocations_of(|| {
        frame(black_box("哈哈🎉")).encode(&mut out).unwrap();
        assert!(frame(&too_long).encode(&mut out).is_err());
        assert!(frame("x").encode(&mut &mut [0_u8; 23][..]).is_ok());
    });
    assert_eq!(allocations, 0);
}
