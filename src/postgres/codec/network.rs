//! Addresses: `inet_send` in src/backend/utils/adt/network.c, and `macaddr`.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, Utf8View};

use super::super::bytes::packed;
use super::super::cells::Cells;
use super::super::rows::Values;
#[cfg(test)]
use super::Example;
use super::values::texts_by;
use super::{Codec, Family, Form};
use crate::error::Result;

#[derive(Debug, Clone, Copy)]
enum Address {
    Inet,
    Cidr,
    MacAddr,
    MacAddr8,
}

pub(in crate::postgres) const FAMILY: Family = Family {
    codec,
    declare: |_| None,
    #[cfg(test)]
    examples,
};

fn codec(name: &str, _: i32) -> Option<Arc<dyn Codec>> {
    Some(Arc::new(match name {
        "inet" => Address::Inet,
        "cidr" => Address::Cidr,
        "macaddr" => Address::MacAddr,
        "macaddr8" => Address::MacAddr8,
        _ => return None,
    }))
}

#[cfg(test)]
fn examples() -> Vec<Example> {
    let address = |declared, address: Address, limits| Example { declared, codec: Arc::new(address), limits };
    vec![
        address("inet", Address::Inet, "addresses, networks"),
        address("cidr", Address::Cidr, "networks"),
        address("macaddr", Address::MacAddr, "addresses of 6 bytes"),
        address("macaddr8", Address::MacAddr8, "addresses of 6 or 8 bytes"),
    ]
}

impl Codec for Address {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        from.is_string().then_some((Utf8View, Form::Binary))
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        let why = match self {
            Self::Inet => "is not an IP address such as 10.1.2.3 or 10.1.2.3/8",
            Self::Cidr => "is not a network address such as 10.0.0.0/8, in which all bits after the prefix are 0",
            Self::MacAddr => "is not a MAC address of 6 bytes",
            Self::MacAddr8 => "is not a MAC address of 8 bytes",
        };
        packed(array, why, |text, out| {
            out.extend(match self {
                Self::Inet => parse_inet(text, Network::Inet)?,
                Self::Cidr => parse_inet(text, Network::Cidr)?,
                Self::MacAddr => parse_mac(text, 6)?,
                Self::MacAddr8 => parse_mac(text, 8)?,
            });
            Some(())
        })
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        match self {
            Self::Inet | Self::Cidr => texts_by(values, to, push_inet),
            Self::MacAddr | Self::MacAddr8 => texts_by(values, to, push_mac),
        }
    }
}

/// `PGSQL_AF_INET`; IPv6 is the next number.
const IPV4: u8 = 2;
const IPV6: u8 = 3;

/// Whether only the bits of the network may be set.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Network {
    Inet,
    Cidr,
}

/// The bytes of `192.168.0.1`, `192.168.0.0/16` or an IPv6 address.
fn parse_inet(text: &str, network: Network) -> Option<Vec<u8>> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let (family, address) = match address.parse().ok()? {
        IpAddr::V4(address) => (IPV4, address.octets().to_vec()),
        IpAddr::V6(address) => (IPV6, address.octets().to_vec()),
    };
    let length = address.len() as u8;
    let bits = bits.unwrap_or(length * 8);
    if bits > length * 8 {
        return None;
    }
    let host_bits_are_zero =
        (usize::from(bits)..usize::from(length) * 8).all(|bit| address[bit / 8] & (0x80 >> (bit % 8)) == 0);
    if network == Network::Cidr && !host_bits_are_zero {
        return None;
    }
    let mut bytes = vec![family, bits, u8::from(network == Network::Cidr), length];
    bytes.extend(address);
    Some(bytes)
}

/// The text of an `inet` or `cidr`.
fn push_inet(bytes: &[u8], text: &mut String) -> Option<()> {
    use std::fmt::Write;
    let [_, bits, is_cidr, _, address @ ..] = bytes else { return None };
    let address = match address.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
        _ => return None,
    };
    let all = if address.is_ipv4() { 32 } else { 128 };
    if *is_cidr != 0 || *bits != all { write!(text, "{address}/{bits}") } else { write!(text, "{address}") }.ok()
}

/// The `length` bytes of a MAC address in one of the server's formats: `08:00:2b:01:02:03`, `08002b-010203`,
/// `0800.2b01.0203`, `08002b010203`.
fn parse_mac(text: &str, length: usize) -> Option<Vec<u8>> {
    let groups: Vec<&str> = match text.find([':', '-', '.']) {
        Some(at) => text.split(text[at..].chars().next()?).collect(),
        None => vec![text],
    };
    // All groups have the same number of digits, in whole bytes.
    let digits = groups.first()?.len();
    let is_form = matches!((digits, groups.len()), (2, 6 | 8) | (4, 3 | 4) | (6, 2) | (8, 2) | (12 | 16, 1));
    if !is_form || groups.iter().any(|group| group.len() != digits || !group.is_ascii()) {
        return None;
    }
    let all = groups.concat();
    if !all.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(all.get(at..at + 2)?, 16).ok();
    let bytes = (0..all.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
    match (bytes.as_slice(), length) {
        // EUI-48 to EUI-64, as in the server.
        ([a, b, c, d, e, f], 8) => Some(vec![*a, *b, *c, 0xff, 0xfe, *d, *e, *f]),
        (bytes, length) => (bytes.len() == length).then(|| bytes.to_vec()),
    }
}

/// The text of a MAC address.
fn push_mac(bytes: &[u8], text: &mut String) -> Option<()> {
    use std::fmt::Write;
    for (index, byte) in bytes.iter().enumerate() {
        write!(text, "{}{byte:02x}", if index == 0 { "" } else { ":" }).ok()?;
    }
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_were_written() {
        for (text, network) in [
            ("192.168.0.1", Network::Inet),
            ("192.168.0.1/16", Network::Inet),
            ("10.0.0.0/8", Network::Cidr),
            ("10.1.2.3/32", Network::Cidr),
            ("::1", Network::Inet),
            ("2001:db8::/32", Network::Cidr),
        ] {
            let mut read = String::new();
            push_inet(&parse_inet(text, network).unwrap(), &mut read).unwrap();
            assert_eq!(read, text);
        }
        for bad in ["", "1.2.3", "1.2.3.4/33", "x", "1.2.3.4/", "::1/129"] {
            assert_eq!(parse_inet(bad, Network::Inet), None, "{bad}");
        }
        assert_eq!(parse_inet("10.0.0.1/8", Network::Cidr), None);
    }

    #[test]
    fn every_form_of_a_mac_address_is_taken() {
        for text in ["08:00:2b:01:02:03", "08-00-2B-01-02-03", "08002b:010203", "0800.2b01.0203", "08002b010203"] {
            assert_eq!(parse_mac(text, 6).unwrap(), [8, 0, 0x2b, 1, 2, 3], "{text}");
        }
        assert_eq!(parse_mac("08:00:2b:01:02:03", 8).unwrap(), [8, 0, 0x2b, 0xff, 0xfe, 1, 2, 3]);
        for bad in [
            "",
            "08:00:2b:01:02",
            "08:00:2b:01:02:0g",
            "08:00:2b:01:02:03:04",
            "08:00:2b:1:02:003",
            "+8:00:2b:01:02:03",
        ] {
            assert_eq!(parse_mac(bad, 6), None, "{bad}");
        }
    }
}
