//! The plugin contract, as far as this plugin needs it: the structs of native/include/tenon in Rust.
//! A struct that the host gives may be longer than it is here; `size` says how long it is.
#![allow(dead_code)]

use std::ffi::{c_char, c_void};

pub type Status = i32;
pub const OK: Status = 0;
pub const ERROR: Status = 1;
pub const ERROR_ARGUMENT: Status = 2;
pub const ERROR_UNSUPPORTED: Status = 4;

pub const ABI_MAJOR: u16 = 1;
pub const ABI_MINOR: u16 = 0;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    pub data: *const c_char,
    pub size: usize,
}

impl Bytes {
    pub const fn of(text: &'static str) -> Self {
        Self { data: text.as_ptr().cast(), size: text.len() }
    }

    pub const fn borrow(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr().cast(), size: bytes.len() }
    }

    /// # Safety
    /// What it points to must live for `'a`.
    pub unsafe fn as_slice<'a>(self) -> &'a [u8] {
        if self.size == 0 {
            return &[];
        }
        std::slice::from_raw_parts(self.data.cast(), self.size)
    }
}

#[repr(C)]
pub struct Host {
    pub size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub version: *const c_char,
    pub data: *mut c_void,
    pub get_extension: unsafe extern "C" fn(host: *const Host, id: *const c_char) -> *const c_void,
}

pub enum Context {}
pub enum Request {}
pub enum Response {}

type Step = Option<unsafe extern "C" fn(plugin: *mut Plugin) -> Status>;

#[repr(C)]
pub struct Plugin {
    pub size: u32,
    pub data: *mut c_void,
    pub initialize: Step,
    pub ready: Option<unsafe extern "C" fn(plugin: *mut Plugin, context: *const Context) -> Status>,
    pub health: Step,
    pub quiesce: Step,
    pub resume: Step,
    pub shutdown: Option<unsafe extern "C" fn(plugin: *mut Plugin)>,
    pub destroy: Option<unsafe extern "C" fn(plugin: *mut Plugin)>,
    pub get_extension: Option<unsafe extern "C" fn(plugin: *mut Plugin, id: *const c_char) -> *const c_void>,
}

#[repr(C)]
pub struct Descriptor {
    pub size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub id: *const c_char,
    pub name: *const c_char,
    pub version: *const c_char,
    pub description: *const c_char,
    pub author: *const c_char,
    pub trial: u32,
    pub create: unsafe extern "C" fn(host: *const Host, out: *mut *mut Plugin) -> Status,
}

/// Never changed after it was built: the library may share it between threads.
unsafe impl Sync for Descriptor {}

/// `tenon_note_t`: the same facts for whoever only reads the file.
#[repr(C)]
pub struct Note {
    pub owner_size: u32,
    pub description_size: u32,
    pub kind: u32,
    pub owner: [u8; 8],
    pub size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub descriptor_size: u32,
    pub trial: u32,
    pub id: [u8; 64],
    pub version: [u8; 32],
    pub sdk_version: [u8; 32],
    pub compiler: [u8; 64],
}

impl Note {
    pub const fn new(id: &str, version: &str) -> Self {
        let size = (size_of::<Note>() - std::mem::offset_of!(Note, size)) as u32;
        Self {
            owner_size: 6,
            description_size: size,
            kind: 1,
            owner: padded("Tenon"),
            size,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            descriptor_size: size_of::<Descriptor>() as u32,
            trial: 0,
            id: padded(id),
            version: padded(version),
            sdk_version: padded("0.1.0"),
            compiler: padded("rustc"),
        }
    }
}

/// `text`, then NULs. Does not compile when it is too long.
const fn padded<const SIZE: usize>(text: &str) -> [u8; SIZE] {
    let mut out = [0; SIZE];
    let bytes = text.as_bytes();
    assert!(bytes.len() < SIZE);
    let mut at = 0;
    while at < bytes.len() {
        out[at] = bytes[at];
        at += 1;
    }
    out
}

pub const HTTP_ID: &[u8] = b"tenon.http/1";
pub const HTTP_ID_C: *const c_char = c"tenon.http/1".as_ptr();

pub const GET: i32 = 1;
pub const POST: i32 = 3;
pub const POOL: u32 = 0;
pub const INLINE: u32 = 1;

#[repr(C)]
pub struct Route {
    pub size: u32,
    pub method: i32,
    pub pattern: Bytes,
    pub execution: u32,
    pub deadline_ms: u32,
    pub body_limit: u64,
    pub auth: u32,
}

unsafe impl Sync for Route {}

impl Route {
    pub const fn new(method: i32, pattern: &'static str, execution: u32) -> Self {
        let size = size_of::<Route>() as u32;
        Self { size, method, pattern: Bytes::of(pattern), execution, deadline_ms: 0, body_limit: 0, auth: 0 }
    }
}

#[repr(C)]
pub struct PluginHttp {
    pub size: u32,
    pub max_concurrency: u32,
    pub route_count: unsafe extern "C" fn(plugin: *mut Plugin) -> u32,
    pub route: unsafe extern "C" fn(plugin: *mut Plugin, index: u32) -> *const Route,
    pub handle: unsafe extern "C" fn(*mut Plugin, index: u32, request: *mut Request, response: *mut Response) -> Status,
}

pub type Free = unsafe extern "C" fn(data: *mut c_void, size: usize, context: *mut c_void);
type Find = unsafe extern "C" fn(request: *mut Request, name: Bytes, value: *mut Bytes) -> bool;
type Read = unsafe extern "C" fn(request: *const Request) -> Bytes;

/// `tenon_host_http_t`, up to the last member that is used here.
#[repr(C)]
pub struct HostHttp {
    pub size: u32,
    pub method: unsafe extern "C" fn(request: *const Request) -> i32,
    pub path: Read,
    pub query: Read,
    pub query_value: Find,
    pub param: Find,
    pub header: unsafe extern "C" fn(request: *const Request, name: Bytes, value: *mut Bytes) -> bool,
    pub header_count: unsafe extern "C" fn(request: *const Request) -> u32,
    pub header_at: unsafe extern "C" fn(*const Request, index: u32, name: *mut Bytes, value: *mut Bytes) -> bool,
    pub body: Read,
    pub request_id: unsafe extern "C" fn(request: *mut Request) -> Bytes,
    pub time_left_ms: unsafe extern "C" fn(request: *const Request) -> u32,
    pub cancelled: unsafe extern "C" fn(request: *const Request) -> bool,
    pub set_status: unsafe extern "C" fn(response: *mut Response, status: i32) -> Status,
    pub set_header: unsafe extern "C" fn(response: *mut Response, name: Bytes, value: Bytes) -> Status,
    pub add_header: unsafe extern "C" fn(response: *mut Response, name: Bytes, value: Bytes) -> Status,
    pub set_body: unsafe extern "C" fn(response: *mut Response, body: Bytes) -> Status,
    pub give_body:
        unsafe extern "C" fn(*mut Response, data: *const c_void, size: usize, free: Option<Free>, *mut c_void) -> Status,
    pub fail: unsafe extern "C" fn(response: *mut Response, message: Bytes),
}
