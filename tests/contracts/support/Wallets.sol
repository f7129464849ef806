// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice A contract wallet (EIP-1271) of one key.
contract KeyWallet {
    bytes4 internal constant VALID = 0x1626ba7e;

    address public immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        if (signature.length != 65) return 0xffffffff;
        address signer = ecrecover(digest, uint8(signature[64]), bytes32(signature), bytes32(signature[32:]));
        return signer == owner ? VALID : bytes4(0xffffffff);
    }
}

/// @notice Deploys wallets at addresses that are known before.
contract WalletFactory {
    function deploy(address owner) external returns (address) {
        return address(new KeyWallet{salt: 0}(owner));
    }

    function walletOf(address owner) external view returns (address) {
        bytes32 code = keccak256(abi.encodePacked(type(KeyWallet).creationCode, abi.encode(owner)));
        return
            address(
                uint160(uint256(keccak256(abi.encodePacked(bytes1(0xff), address(this), bytes32(0), code))))
            );
    }
}

/// @notice Wallets that must not get anybody in.
contract BadWallet {
    enum Kind {
        ENDLESS,
        ONE,
        NOTHING,
        SHORT,
        PADDED,
        REVERTS_VALID,
        GATEWAY,
        HUGE
    }

    error OffchainLookup(address sender, string[] urls, bytes callData, bytes4 callback, bytes extraData);

    Kind private immutable kind;
    string private url;

    constructor(Kind kind_, string memory url_) {
        kind = kind_;
        url = url_;
    }

    fallback() external {
        if (kind == Kind.ENDLESS) while (true) {}
        if (kind == Kind.GATEWAY) {
            string[] memory urls = new string[](1);
            urls[0] = url;
            revert OffchainLookup(address(this), urls, msg.data, 0x1626ba7e, "");
        }
        Kind told = kind;
        assembly {
            mstore(0, shl(224, 0x1626ba7e))
            switch told
            case 1 {
                mstore(0, 1)
                return(0, 32)
            }
            case 3 { return(0, 4) }
            case 4 {
                mstore(0, or(shl(224, 0x1626ba7e), 1))
                return(0, 32)
            }
            case 5 { revert(0, 32) }
            case 7 { return(64, 0xffffffffff) }
            default { return(0, 0) }
        }
    }
}
