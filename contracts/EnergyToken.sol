// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {IERC6909} from "@openzeppelin/contracts/interfaces/draft-IERC6909.sol";
import {Relay} from "./Relay.sol";
import {IAccounts} from "./interfaces/IAccounts.sol";
import {Stage} from "./interfaces/IAuction.sol";
import {Acceptance, IEnergyToken, TokenTransfer} from "./interfaces/IEnergyToken.sol";
import {RunStage} from "./interfaces/ISettlement.sol";
import {FLAG_SUSPENDED, Member, ROLE_PROSUMER} from "./libraries/Member.sol";
import {PackedWindows} from "./libraries/PackedWindows.sol";
import {
    KIND_CERTIFICATE,
    KIND_ENERGY,
    KIND_FLEXIBILITY_DOWN,
    KIND_FLEXIBILITY_UP,
    ProductId,
    SIDE_CLAIM
} from "./libraries/ProductId.sol";
import {Quality} from "./libraries/Quality.sol";

/// @title EnergyToken: claims, obligations and certificates in packed windows
abstract contract EnergyToken is Relay, IEnergyToken {
    bytes32 private constant TRANSFER_TYPE_HASH = keccak256(
        "Transfer(address from,address to,uint256 id,uint256 amountWh,uint256 nonce,uint256 deadline)"
    );
    bytes32 private constant ACCEPTANCE_TYPE_HASH = keccak256(
        "Acceptance(address to,address from,uint256 id,uint256 amountWh,uint256 nonce,uint256 deadline)"
    );

    /// @inheritdoc IERC6909
    function balanceOf(address owner, uint256 id) public view returns (uint256) {
        ProductId product = ProductId.wrap(id);
        if (!product.isCanonical() || product.length() != windowLength || !_counts(product)) return 0;
        bool wide = _members[owner].isWide();
        uint256 lanes = PackedWindows.lanesOf(wide);
        return PackedWindows.get(_lanes[owner][product.groupKey(lanes)], product.windowIndex() % lanes, wide);
    }

    /// @inheritdoc IEnergyToken
    function lanesOf(address account, uint256 groupKey) external view returns (uint256) {
        return _lanes[account][groupKey];
    }

    /// @inheritdoc IERC6909
    function allowance(address owner, address spender, uint256 id) external view returns (uint256) {
        return _allowances[owner][spender][id];
    }

    /// @inheritdoc IERC6909
    function isOperator(address owner, address spender) external view returns (bool) {
        return _operators[owner][spender];
    }

    /// @inheritdoc IERC6909
    function approve(address spender, uint256 id, uint256 amount) external returns (bool) {
        _allowances[msg.sender][spender][id] = amount;
        emit Approval(msg.sender, spender, id, amount);
        return true;
    }

    /// @inheritdoc IERC6909
    function setOperator(address spender, bool approved) external returns (bool) {
        _operators[msg.sender][spender] = approved;
        emit OperatorSet(msg.sender, spender, approved);
        return true;
    }

    /// @inheritdoc IERC6909
    function transfer(address receiver, uint256 id, uint256 amount) external returns (bool) {
        _transfer(msg.sender, receiver, id, amount);
        return true;
    }

    /// @inheritdoc IERC6909
    function transferFrom(address sender, address receiver, uint256 id, uint256 amount)
        external
        returns (bool)
    {
        if (msg.sender != sender && !_operators[sender][msg.sender]) {
            uint256 allowed = _allowances[sender][msg.sender][id];
            if (allowed < amount) revert InsufficientAllowance(msg.sender, allowed, amount, id);
            if (allowed != type(uint256).max) _allowances[sender][msg.sender][id] = allowed - amount;
        }
        _transfer(sender, receiver, id, amount);
        return true;
    }

    /// @inheritdoc IEnergyToken
    function accept(address from, uint256 id, uint256 amountWh) external {
        _accept(msg.sender, from, id, amountWh);
    }

    /// @inheritdoc IEnergyToken
    function relayAcceptance(Acceptance calldata message, bytes calldata signature) external {
        bytes32 structHash = keccak256(abi.encode(ACCEPTANCE_TYPE_HASH, message));
        _useSigned(structHash, message.to, message.nonce, message.deadline, signature);
        _accept(message.to, message.from, message.id, message.amountWh);
    }

    /// @inheritdoc IEnergyToken
    function relayTransfer(TokenTransfer calldata message, bytes calldata signature) external {
        bytes32 structHash = keccak256(abi.encode(TRANSFER_TYPE_HASH, message));
        _useSigned(structHash, message.from, message.nonce, message.deadline, signature);
        _transfer(message.from, message.to, message.id, message.amountWh);
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(IERC6909).interfaceId || interfaceId == type(IERC165).interfaceId;
    }

    /// @dev Tokens count between the proof of their session and the settlement of their day; certificates from certification on.
    function _counts(ProductId product) private view returns (bool) {
        (uint24 epoch, uint32 day) = _sessionOf(product);
        if (epoch == 0 || _stageOf(epoch) != Stage.Proved) return false;
        RunStage stage = _runs[day].stage;
        if (product.kind() != KIND_CERTIFICATE) return stage < RunStage.Settled;
        return
            stage == RunStage.Certified && product.side() == SIDE_CLAIM
                && Quality.band(product.quality()) != 0;
    }

    /// @dev The session that a product belongs to, and its day; zero if there is none.
    function _sessionOf(ProductId id) private view returns (uint24 epoch, uint32 day) {
        day = _dayAt(id.windowIndex());
        uint24[] storage epochs = _rounds[day][id.kind() == KIND_CERTIFICATE ? KIND_ENERGY : id.kind()];
        return (id.round() < epochs.length ? epochs[id.round()] : 0, day);
    }

    /// @dev The last day that begins at or before `window`.
    function _dayAt(uint32 window) private view returns (uint32 day) {
        (uint256 low, uint256 high) = (0, _days.length);
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_days[middle] > window) high = middle;
            else low = middle + 1;
        }
        return low == 0 ? 0 : _days[low - 1];
    }

    /// @dev Moves free cash to the giver of a claim from its taker, who must have it.
    function _takeOver(address taker, address giver, uint256 amountNano) private {
        int256 free = _folded(taker).free() - int256(uint256(_withdrawals[taker].amountNano));
        if (free < int256(amountNano)) revert IAccounts.InsufficientCash(taker, free, amountNano);
        _credit(taker, -int256(amountNano));
        _credit(giver, int256(amountNano));
    }

    function _accept(address to, address from, uint256 id, uint256 amountWh) private {
        _accepted[to][from][id] = amountWh;
        emit Accepted(to, from, id, amountWh);
    }

    function _transfer(address from, address to, uint256 id, uint256 amount)
        private
        whenNotPaused
        whenNotClearing
    {
        ProductId product = ProductId.wrap(id);
        uint256 balance = balanceOf(from, id);
        if (balance < amount) revert InsufficientBalance(from, balance, amount, id);
        Member receiver = _members[to];
        if (receiver.role() != ROLE_PROSUMER || receiver.has(FLAG_SUSPENDED)) revert WrongRecipient(to, id);
        if (product.kind() != KIND_CERTIFICATE) _handOver(from, to, product, amount);
        _move(from, to, product, amount);
        emit Transfer(msg.sender, from, to, id, amount);
    }

    /// @dev A claim carries its reserve along: its recipient agreed and covers it.
    function _handOver(address from, address to, ProductId product, uint256 amount) private {
        uint256 id = ProductId.unwrap(product);
        if (product.side() != SIDE_CLAIM || block.timestamp >= uint256(product.windowIndex()) * windowLength)
        {
            revert NotTransferable(id);
        }
        if (_members[to].zone() != product.zone()) revert WrongRecipient(to, id);
        uint256 accepted = _accepted[to][from][id];
        if (accepted < amount) revert NotAccepted(to, from, id, amount);
        _accepted[to][from][id] = accepted - amount;
        (uint24 epoch,) = _sessionOf(product);
        if (epoch == 0) revert NotTransferable(id);
        _takeOver(to, from, amount * _params[epoch].buyReserve);
    }

    /// @dev Moving nothing leaves no trace: nobody may widen what another's settlement goes over.
    function _move(address from, address to, ProductId product, uint256 amount) private {
        if (amount == 0) return;
        bool wide = _members[from].isWide();
        uint256 lanes = PackedWindows.lanesOf(wide);
        uint256 key = product.groupKey(lanes);
        _lanes[from][key] = PackedWindows.sub(_lanes[from][key], product.windowIndex() % lanes, amount, wide);

        wide = _members[to].isWide();
        lanes = PackedWindows.lanesOf(wide);
        key = product.groupKey(lanes);
        uint256 added = PackedWindows.at(product.windowIndex() % lanes, amount, wide);
        _lanes[to][key] = PackedWindows.add(_lanes[to][key], added, wide);
        if (product.kind() == KIND_FLEXIBILITY_UP || product.kind() == KIND_FLEXIBILITY_DOWN) return;
        _members[to] = _members[to].withHeld(SIDE_CLAIM, product.quality());
    }
}
