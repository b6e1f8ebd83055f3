// SPDX-License-Identifier: MIT
#include "client/connection/credentials_p.h"

namespace AmqpQt
{

void Credentials::set(Life life, Engine::Time now, double random)
{
    constexpr double RenewalBegin = 0.75; // of the life; 0.8 on average
    constexpr double RenewalSpread = 0.1;
    m_state = State::Usable;
    ++m_serial;
    m_expiry.reset();
    if (life)
        m_expiry = {now + *life, now + std::chrono::duration_cast<Engine::Time::duration>(
                                           *life * (RenewalBegin + RenewalSpread * random))};
}

void Credentials::reset(bool areDefault)
{
    m_state = areDefault ? State::Default : State::Usable;
    ++m_serial;
    m_expiry.reset();
}

void Credentials::erased()
{
    if (m_state != State::Refused)
        m_state = State::Missing;
    m_expiry.reset();
}

std::optional<Credentials::Reason> Credentials::neededAt(Engine::Time now) const
{
    if (m_state == State::Refused)
        return Reason::Refused;
    if (m_state == State::Usable && (!m_expiry || now < m_expiry->at))
        return std::nullopt;
    return m_wasOpen ? Reason::Reconnect : Reason::FirstConnect;
}

void Credentials::loginStarted()
{
    m_loginExpiry = m_expiry;
    m_loginSerial = m_serial;
}

bool Credentials::loginRefused()
{
    if (!areUsed())
        return true;
    m_state = State::Refused;
    return false;
}

void Credentials::opened()
{
    m_isOpen = m_wasOpen = true;
    m_isRenewalDue = m_loginExpiry.has_value();
}

bool Credentials::mustRenew() const
{
    return m_isOpen && m_loginExpiry;
}

void Credentials::renewed()
{
    loginStarted();
    m_isRenewalDue = m_loginExpiry.has_value();
}

std::optional<Engine::Time> Credentials::renewalAt() const
{
    return m_isOpen && m_isRenewalDue ? std::optional(m_loginExpiry->renewal) : std::nullopt;
}

bool Credentials::takeRenewal(Engine::Time now)
{
    const std::optional<Engine::Time> at = renewalAt();
    if (!at || now < *at)
        return false;
    m_isRenewalDue = false;
    return true;
}

void Credentials::loseLogin(State state)
{
    if (areUsed())
        m_state = state;
}

void Credentials::expired()
{
    loseLogin(State::Missing);
}

void Credentials::secretRefused()
{
    loseLogin(State::Refused);
}

void Credentials::closed()
{
    m_isOpen = m_isRenewalDue = false;
    m_loginExpiry.reset();
}

} // namespace AmqpQt
