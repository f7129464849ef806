// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Quality: carbon band and firmness as a small lattice
/// @dev Code: bit 3 firmness (1 firm, 0 as-produced), bits 0..2 carbon band (higher is greener). docs/formats.md, Quality.
library Quality {
    uint8 internal constant CODES = 16;

    /// @dev Caps in gCO2e/kWh of bands 0..7, 16 bits each; band 0 has none.
    uint256 private constant CAPS =
        0xFFFF | 500 << 16 | 350 << 32 | 200 << 48 | 100 << 64 | 50 << 80 | 20 << 96 | 0 << 112;

    function band(uint8 code) internal pure returns (uint8) {
        return code & 7;
    }

    function isFirm(uint8 code) internal pure returns (bool) {
        return code & 8 != 0;
    }

    /// @return grams the band's cap in gCO2e/kWh; 65535 means none
    function carbonCap(uint8 code) internal pure returns (uint16 grams) {
        return uint16(CAPS >> (uint256(band(code)) * 16));
    }

    /// @notice True if a unit of `from` may serve demand for `to`: at least as green and at least as firm.
    function serves(uint8 from, uint8 to) internal pure returns (bool) {
        return band(from) >= band(to) && (isFirm(from) || !isFirm(to));
    }

    /// @notice A number that orders codes from the least to the best: by band, then firmness.
    function merit(uint8 code) internal pure returns (uint8) {
        return band(code) << 1 | code >> 3;
    }
}
