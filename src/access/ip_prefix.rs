use std::{fmt, net::IpAddr, str::FromStr};

/// A range of IP addresses: an address and the number of its leading bits that count.
///
/// ```
/// use unbroken::access::IpPrefix;
///
/// let proxies: IpPrefix = "10.0.0.0/8".parse()?;
/// assert!(proxies.contains("10.1.2.3".parse()?));
/// assert!(!proxies.contains("11.1.2.3".parse()?));
/// let one: IpPrefix = "2001:db8::1".parse()?; // all 128 bits
/// # let _ = one;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpPrefix {
    address: IpAddr,
    bits: u8,
}

/// The error of a text that is not an [`IpPrefix`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a prefix is an IP address, or an address and its leading bits: 10.0.0.0/8, fd00::/8")]
#[non_exhaustive]
pub struct InvalidIpPrefix;

impl IpPrefix {
    /// Returns true if the address is in the range.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && masked(address, self.bits) == masked(self.address, self.bits)
    }

    /// Returns the range of the addresses that begin with these bits of an address. `bits` is at most
    /// the number of its bits.
    pub(super) fn around(address: IpAddr, bits: u8) -> Self {
        let address = masked(address, bits);
        Self { address, bits }
    }
}

/// Returns the address with all bits after the first `bits` cleared.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(u32::BITS - bits).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(u128::BITS - bits).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl From<IpAddr> for IpPrefix {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self::around(address, width(address))
    }
}

impl FromStr for IpPrefix {
    type Err = InvalidIpPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidIpPrefix> {
        let Some((address, bits)) = text.split_once('/') else {
            let address: IpAddr = text.parse().map_err(|_| InvalidIpPrefix)?;
            return Ok(address.into());
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidIpPrefix)?;
        let bits: u8 = bits.parse().map_err(|_| InvalidIpPrefix)?;
        if bits > width(address) {
            return Err(InvalidIpPrefix);
        }
        Ok(Self::around(address, bits))
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == width(self.address) {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.bits)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(prefix: &str, address: &str) -> bool {
        let prefix: IpPrefix = prefix.parse().unwrap();
        prefix.contains(address.parse().unwrap())
    }

    #[test]
    fn a_prefix_contains_the_addresses_with_its_leading_bits() {
        for (prefix, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("2001:db8::/64", "2001:db8::ffff:1", "2001:db8:0:1::1"),
            ("::1", "::1", "::2"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
        ] {
            assert!(contains(prefix, inside), "{prefix} {inside}");
            assert!(!contains(prefix, outside), "{prefix} {outside}");
        }
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(!contains("::/0", "203.0.113.9"), "of the other family");
    }

    #[test]
    fn a_text_that_is_not_a_prefix_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "host/8",
            "10.0.0.0/",
        ] {
            assert_eq!(text.parse::<IpPrefix>(), Err(InvalidIpPrefix), "{text}");
        }
    }

    #[test]
    fn a_prefix_is_shown_as_it_is_read() {
        for text in ["10.0.0.0/8", "192.0.2.1", "2001:db8::/64", "::1"] {
            assert_eq!(text.parse::<IpPrefix>().unwrap().to_string(), text);
        }
    }
}
