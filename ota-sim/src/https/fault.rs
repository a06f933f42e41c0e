//! What a server may do wrong, one request at a time.

/// A fault on one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFault {
    /// 200 and the whole file, whatever was asked for.
    IgnoreRange,
    /// This status with a small XML body: 404, 416, 500 and the like.
    Status(u16),
    /// This status (429, 503), with `Retry-After` in seconds where given.
    Busy {
        /// The status.
        status: u16,
        /// `Retry-After`.
        after_s: Option<u32>,
    },
    /// 307 to this address.
    Redirect(String),
    /// The right bytes in chunks, without a length.
    Chunked,
    /// A body longer (or shorter) by so many bytes than `Content-Range` says.
    WrongLength(i32),
    /// `Content-Range`, and the bytes, begin so many bytes later than asked for.
    WrongRange(u32),
    /// `Content-Range` gives the file this size.
    WrongSize(u64),
    /// `Content-Encoding: gzip` on bytes that are not.
    Encoded,
    /// The connection closes after so many bytes of the body.
    CloseAfter(u64),
    /// Nothing more comes after so many bytes of the body, and the connection stays.
    StallAfter(u64),
    /// `Connection: close`, and kept.
    ConnectionClose,
    /// The file has another `ETag`, for this request and all later ones.
    NewEtag,
    /// 403 as if the URL had expired.
    Expired,
}
