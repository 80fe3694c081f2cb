//! GET /rust-greeting/greeting/{name}, POST /rust-greeting/length: a plugin in Rust, without a crate.
//! No panic leaves it: the edge catches it and answers 500 with its message.

mod tenon;

use std::ffi::{c_char, c_void, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};

use tenon::{Bytes, Descriptor, Host, HostHttp, Note, Plugin, PluginHttp, Request, Response, Route, Status};

// What the plugin serves.

static ROUTES: [Route; 3] = [
    Route::new(tenon::GET, "/greeting/:name", tenon::INLINE),
    Route::new(tenon::POST, "/length", tenon::POOL),
    Route::new(tenon::GET, "/panic", tenon::POOL),
];

struct Answer {
    status: i32,
    body: String,
}

fn answer(index: u32, http: &HostHttp, request: *mut Request) -> Answer {
    match index {
        0 => {
            let name = param(http, request, "name");
            Answer { status: 200, body: format!("Hello from Rust, {}\n", String::from_utf8_lossy(name)) }
        }
        1 => match std::str::from_utf8(unsafe { (http.body)(request).as_slice() }) {
            Ok(text) => Answer { status: 200, body: format!("{}\n", text.chars().count()) },
            Err(error) => Answer { status: 400, body: format!("{error}\n") },
        },
        _ => panic!("there is no route {index}"),
    }
}

/// Lives as long as the request.
fn param<'a>(http: &HostHttp, request: *mut Request, name: &'static str) -> &'a [u8] {
    let mut value = Bytes::of("");
    unsafe {
        (http.param)(request, Bytes::of(name), &mut value);
        value.as_slice()
    }
}

// The edge: the contract.

static HTTP: AtomicPtr<HostHttp> = AtomicPtr::new(null_mut());

unsafe extern "C" fn handle(_: *mut Plugin, index: u32, request: *mut Request, response: *mut Response) -> Status {
    let http = &*HTTP.load(Ordering::Acquire);
    match catch_unwind(AssertUnwindSafe(|| answer(index, http, request))) {
        Ok(Answer { status, body }) => {
            (http.set_status)(response, status);
            (http.set_header)(response, Bytes::of("content-type"), Bytes::of("text/plain; charset=utf-8"));
            (http.set_body)(response, Bytes::borrow(body.as_bytes()))
        }
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let message = said.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message");
            (http.fail)(response, Bytes::borrow(message.as_bytes()));
            tenon::ERROR
        }
    }
}

unsafe extern "C" fn route_count(_: *mut Plugin) -> u32 {
    ROUTES.len() as u32
}

unsafe extern "C" fn route(_: *mut Plugin, index: u32) -> *const Route {
    ROUTES.get(index as usize).map_or(null(), |route| route)
}

static PLUGIN_HTTP: PluginHttp =
    PluginHttp { size: size_of::<PluginHttp>() as u32, max_concurrency: 0, route_count, route, handle };

unsafe extern "C" fn get_extension(_: *mut Plugin, id: *const c_char) -> *const c_void {
    if CStr::from_ptr(id).to_bytes() == tenon::HTTP_ID {
        return (&raw const PLUGIN_HTTP).cast();
    }
    null()
}

unsafe extern "C" fn destroy(plugin: *mut Plugin) {
    drop(Box::from_raw(plugin));
}

unsafe extern "C" fn create(host: *const Host, out: *mut *mut Plugin) -> Status {
    let http = ((*host).get_extension)(host, tenon::HTTP_ID_C);
    if http.is_null() {
        return tenon::ERROR_UNSUPPORTED;
    }
    HTTP.store(http.cast_mut().cast(), Ordering::Release);
    // A panic is told to the host; the default hook would write it to the host's standard error as well.
    std::panic::set_hook(Box::new(|_| {}));
    *out = Box::into_raw(Box::new(Plugin {
        size: size_of::<Plugin>() as u32,
        data: null_mut(),
        initialize: None,
        ready: None,
        health: None,
        quiesce: None,
        resume: None,
        shutdown: None,
        destroy: Some(destroy),
        get_extension: Some(get_extension),
    }));
    tenon::OK
}

static DESCRIPTOR: Descriptor = Descriptor {
    size: size_of::<Descriptor>() as u32,
    abi_major: tenon::ABI_MAJOR,
    abi_minor: tenon::ABI_MINOR,
    id: c"rust-greeting".as_ptr(),
    name: c"Rust greeting".as_ptr(),
    version: c"1.0.0".as_ptr(),
    description: c"A plugin in Rust, without a crate.".as_ptr(),
    author: null(),
    trial: 0,
    create,
};

/// Admission reads it from the file, before any of this runs.
#[cfg_attr(target_os = "macos", link_section = "__DATA,__tenon")]
#[cfg_attr(not(target_os = "macos"), link_section = ".note.tenon")]
#[used]
static NOTE: Note = Note::new("rust-greeting", "1.0.0");

/// The only symbol that leaves the library.
#[no_mangle]
pub extern "C" fn tenon_plugin_entry() -> *const Descriptor {
    &DESCRIPTOR
}
