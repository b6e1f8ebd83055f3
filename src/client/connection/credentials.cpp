// SPDX-License-Identifier: MIT
#include "client/connection/credentials_p.h"

namespace AmqpQt
{

void Credentials::set(Life life, Engine::Time now, double random)
{
    constexpr double RenewalBegin = 0.75; // of the life; 0.8 on average
    constexpr double RenewalSpread = 0.1;
    m_state = State::Usable;
    m_isNewer = m_isForAttempt;
    m_latest = {m_latest.serial + 1, std::nullopt};
    if (life)
        m_latest.expiry = {now + *life, now + std::chrono::duration_cast<Engine::Time::duration>(
                                                  *life * (RenewalBegin + RenewalSpread * random))};
}

void Credentials::parametersReplaced(std::optional<State> state)
{
    m_isNewer = m_isForAttempt = false;
    if (!state)
        return;
    m_state = *state;
    m_latest = {m_latest.serial + 1, std::nullopt};
}

void Credentials::erased()
{
    if (m_state != State::Refused)
        m_state = State::Missing;
    m_latest.expiry.reset();
}

void Credentials::attemptStarted()
{
    attemptContinued();
    m_isForAttempt = true;
}

void Credentials::attemptContinued()
{
    m_used = m_latest;
    m_isNewer = false;
}

std::optional<Credentials::Reason> Credentials::neededAt(Engine::Time now) const
{
    const bool areLatest = m_used.serial == m_latest.serial;
    if (areLatest && m_state == State::Refused)
        return Reason::Refused;
    const bool isUsable = !areLatest || m_state == State::Usable;
    if (isUsable && (!m_used.expiry || now < m_used.expiry->at))
        return std::nullopt;
    return m_wasOpen ? Reason::Reconnect : Reason::FirstConnect;
}

bool Credentials::loginRefused()
{
    if (m_isNewer)
        return true;
    if (m_used.serial == m_latest.serial)
        m_state = State::Refused;
    return false;
}

bool Credentials::areLatestSpent() const noexcept
{
    return m_used.serial == m_latest.serial || m_state == State::Refused;
}

void Credentials::opened()
{
    m_isOpen = m_wasOpen = true;
    m_requests = 0;
    m_isRenewing = m_isExpiryReported = false;
}

bool Credentials::mustRenew() const
{
    return m_isOpen && m_used.expiry;
}

std::optional<Engine::Time> Credentials::requestAt() const
{
    constexpr int MaximumRequests = 2;
    if (!mustRenew() || m_isRenewing || m_requests == MaximumRequests)
        return std::nullopt;
    return m_requests == 0 ? m_used.expiry->renewal : m_used.expiry->reminder();
}

void Credentials::requested(Engine::Time now)
{
    m_requests = now < m_used.expiry->reminder() ? 1 : 2; // a late first request needs no reminder
}

std::optional<Engine::Time> Credentials::expiryAt() const
{
    if (!mustRenew() || m_isRenewing || m_isExpiryReported)
        return std::nullopt;
    return m_used.expiry->at;
}

void Credentials::renewed(const Version &version)
{
    m_used = version;
    m_requests = 0;
    m_isRenewing = m_isExpiryReported = false;
}

void Credentials::renewalRefused(const Version &version)
{
    if (version.serial == m_latest.serial)
        m_state = State::Refused;
}

void Credentials::expired()
{
    if (m_used.serial == m_latest.serial)
        m_state = State::Missing;
}

void Credentials::closed()
{
    m_isOpen = m_isForAttempt = m_isNewer = false;
    m_used.expiry.reset();
}

} // namespace AmqpQt
