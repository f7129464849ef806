// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev What a token is of, readable without any lookup:
///
///   | 111..104 | 103..96 | 95..88 | 87..80  | 79..48 | 47..32       | 31..0       |
///   | side     | round   | kind   | quality | zone   | windowLength | windowIndex |
///
/// A *group key* is the same word with `windowIndex` divided by the number of lanes: it names one packed slot.
type ProductId is uint256;

uint8 constant KIND_ENERGY = 0;
uint8 constant KIND_FLEXIBILITY_UP = 1;
uint8 constant KIND_FLEXIBILITY_DOWN = 2;
uint8 constant KIND_CERTIFICATE = 3;

uint8 constant SIDE_CLAIM = 0;
uint8 constant SIDE_OBLIGATION = 1;

using ProductIdLib for ProductId global;

/// @title ProductId: packing and reading of product identifiers
/// @dev Layout: docs/formats.md, ProductId.
library ProductIdLib {
    /// @param windowLength seconds
    /// @param windowIndex_ `unix start / windowLength`
    function pack(
        uint8 side_,
        uint8 round_,
        uint8 kind_,
        uint8 quality_,
        uint32 zone_,
        uint16 windowLength,
        uint32 windowIndex_
    ) internal pure returns (ProductId) {
        return ProductId.wrap(family(side_, round_, kind_, quality_, zone_, windowLength) | windowIndex_);
    }

    /// @notice All of a product but its window: the group keys of one account and schedule differ from it in the low 32 bits only.
    function family(uint8 side_, uint8 round_, uint8 kind_, uint8 quality_, uint32 zone_, uint16 windowLength)
        internal
        pure
        returns (uint256)
    {
        return uint256(side_) << 104 | uint256(round_) << 96 | uint256(kind_) << 88 | uint256(quality_) << 80
            | uint256(zone_) << 48 | uint256(windowLength) << 32;
    }

    function windowIndex(ProductId id) internal pure returns (uint32) {
        return uint32(ProductId.unwrap(id));
    }

    function length(ProductId id) internal pure returns (uint16) {
        return uint16(ProductId.unwrap(id) >> 32);
    }

    function zone(ProductId id) internal pure returns (uint32) {
        return uint32(ProductId.unwrap(id) >> 48);
    }

    function quality(ProductId id) internal pure returns (uint8) {
        return uint8(ProductId.unwrap(id) >> 80);
    }

    function kind(ProductId id) internal pure returns (uint8) {
        return uint8(ProductId.unwrap(id) >> 88);
    }

    function round(ProductId id) internal pure returns (uint8) {
        return uint8(ProductId.unwrap(id) >> 96);
    }

    function side(ProductId id) internal pure returns (uint8) {
        return uint8(ProductId.unwrap(id) >> 104);
    }

    /// @notice True if no bit above the layout is set: ids are canonical.
    function isCanonical(ProductId id) internal pure returns (bool) {
        return ProductId.unwrap(id) >> 112 == 0;
    }

    /// @notice The key of the packed slot that holds the product for an account of `lanes` lanes; a certificate stays in the slot of its claim.
    function groupKey(ProductId id, uint256 lanes) internal pure returns (uint256) {
        uint8 kind_ = kind(id) == KIND_CERTIFICATE ? KIND_ENERGY : kind(id);
        return
            family(side(id), round(id), kind_, quality(id), zone(id), length(id)) | (windowIndex(id) / lanes);
    }
}
