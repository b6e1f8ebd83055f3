// SPDX-License-Identifier: MIT
#include <AmqpQt/recovery.h>

namespace AmqpQt
{

namespace
{

template <typename Field, typename Value>
RecoveryPolicy with(RecoveryPolicy policy, Field RecoveryPolicy::*field, const Value &value)
{
    policy.*field = value;
    return policy;
}

} // namespace

/*!
    \class AmqpQt::RecoveryPolicy
    \inheaderfile AmqpQt/Recovery
    \inmodule AmqpQt
    \since 0.1
    \brief Contains the settings of automatic recovery; see ConnectionParameters::setRecoveryPolicy().

    This class is a plain aggregate, intended for designated initialisers:
    \c{parameters.setRecoveryPolicy({.maximumDelay = 10s, .onMissing = RecoveryPolicy::Missing::Wait})}. The functions
    that begin with "with" return a copy with one setting changed, and can be chained, also in C++17.

    An attempt is one pass over the endpoints. The delay before each attempt is random between 0.2 seconds and an upper
    limit, so that many clients of a broker do not come back at the same time. The limit is \l initialDelay for the
   first attempt and grows by \l factor up to \l maximumDelay. It starts again with \l initialDelay after a connection
   that lasted for a minute.
*/

/*!
    \enum AmqpQt::RecoveryPolicy::Mismatch

    This enum describes what happens if an exchange or a queue exists with other options than requested (406).

    \value SkipAndReport It is left as it is and reported, and its bindings are not made.
    \value Fail The recovery, or Channel::apply(), fails with the broker's error.
    \value UseExisting It is left as it is and reported, but its bindings are made.
*/

/*!
    \enum AmqpQt::RecoveryPolicy::Missing

    This enum describes what happens if a binding needs an exchange or a queue that does not exist (404).

    \value SkipAndReport The binding is reported and not made.
    \value Fail The recovery, or Channel::apply(), fails with the broker's error.
    \value Wait The binding is tried again, with the delays of this policy, until the exchange or the queue exists.
*/

/*!
    \variable AmqpQt::RecoveryPolicy::enabled
    \brief whether a connection that was lost, or that could not be opened, is opened again automatically; \c true by
    default. Connection::openOn() does not recover.
*/

/*!
    \variable AmqpQt::RecoveryPolicy::topology
    \brief whether the exchanges, queues and bindings that the connection has declared are declared again; \c true by
    default. See Connection::topology().
*/

/*!
    \variable AmqpQt::RecoveryPolicy::maximumAttempts
    \brief the number of attempts in each outage, after which the connection ends; 0, the default, means no limit. The
    attempt of Connection::open() does not count.
*/

/*!
    \variable AmqpQt::RecoveryPolicy::initialDelay
    \brief the upper limit of the first delay, at least 200 ms; 1 s by default.
*/

/*!
    \variable AmqpQt::RecoveryPolicy::maximumDelay
    \brief the highest upper limit of a delay, at least \l initialDelay; 30 s by default.
*/

/*!
    \variable AmqpQt::RecoveryPolicy::factor
    \brief the factor, from 1 to 1000, by which the upper limit grows with each attempt; 2 by default.
*/

/*!
    \variable AmqpQt::RecoveryPolicy::calmAfter
    \brief the duration up to which an outage need not concern a user; 5 s by default. See Connection::calmState.
*/

/*!
    \variable AmqpQt::RecoveryPolicy::onMismatch
    \brief what happens if an exchange or a queue exists with other options.
*/

/*!
    \variable AmqpQt::RecoveryPolicy::onMissing
    \brief what happens if an exchange or a queue that others declare does not exist.
*/

/*!
    Returns a copy of this policy in which \l enabled is \a isEnabled.
*/
RecoveryPolicy RecoveryPolicy::withEnabled(bool isEnabled) const
{
    return with(*this, &RecoveryPolicy::enabled, isEnabled);
}

/*!
    Returns a copy of this policy in which \l topology is \a declares.
*/
RecoveryPolicy RecoveryPolicy::withTopology(bool declares) const
{
    return with(*this, &RecoveryPolicy::topology, declares);
}

/*!
    Returns a copy of this policy in which \l maximumAttempts is \a attempts.
*/
RecoveryPolicy RecoveryPolicy::withMaximumAttempts(int attempts) const
{
    return with(*this, &RecoveryPolicy::maximumAttempts, attempts);
}

/*!
    Returns a copy of this policy in which \l initialDelay is \a initial, \l maximumDelay is \a maximum, and \l factor
    is \a growth.
*/
RecoveryPolicy RecoveryPolicy::withDelays(std::chrono::milliseconds initial, std::chrono::milliseconds maximum,
                                          double growth) const
{
    RecoveryPolicy policy = *this;
    policy.initialDelay = initial;
    policy.maximumDelay = maximum;
    policy.factor = growth;
    return policy;
}

/*!
    Returns a copy of this policy in which \l calmAfter is \a time.
*/
RecoveryPolicy RecoveryPolicy::withCalmAfter(std::chrono::milliseconds time) const
{
    return with(*this, &RecoveryPolicy::calmAfter, time);
}

/*!
    Returns a copy of this policy in which \l onMismatch is \a policy.
*/
RecoveryPolicy RecoveryPolicy::withMismatch(Mismatch policy) const
{
    return with(*this, &RecoveryPolicy::onMismatch, policy);
}

/*!
    Returns a copy of this policy in which \l onMissing is \a policy.
*/
RecoveryPolicy RecoveryPolicy::withMissing(Missing policy) const
{
    return with(*this, &RecoveryPolicy::onMissing, policy);
}

/*!
    \fn bool AmqpQt::RecoveryPolicy::operator==(const RecoveryPolicy &a, const RecoveryPolicy &b)

    Returns whether all settings of \a a and \a b are equal.
*/
bool operator==(const RecoveryPolicy &a, const RecoveryPolicy &b) noexcept
{
    return a.enabled == b.enabled && a.topology == b.topology && a.maximumAttempts == b.maximumAttempts &&
           a.initialDelay == b.initialDelay && a.maximumDelay == b.maximumDelay && a.factor == b.factor &&
           a.calmAfter == b.calmAfter && a.onMismatch == b.onMismatch && a.onMissing == b.onMissing;
}

/*!
    \class AmqpQt::RecoveryReport
    \inheaderfile AmqpQt/Recovery
    \inmodule AmqpQt
    \since 0.1
    \brief Contains what an automatic recovery has restored and what it has not.
*/

/*!
    \property AmqpQt::RecoveryReport::exchanges
    \brief the number of exchanges that were declared again.
*/

/*!
    \property AmqpQt::RecoveryReport::queues
    \brief the number of queues that were declared again.
*/

/*!
    \property AmqpQt::RecoveryReport::bindings
    \brief the number of bindings that were made again.
*/

/*!
    \property AmqpQt::RecoveryReport::consumers
    \brief the number of consumers that were subscribed again.
*/

/*!
    \property AmqpQt::RecoveryReport::renamedQueues
    \brief the new names, by the old names, of the queues that the broker has named again.
*/

/*!
    \property AmqpQt::RecoveryReport::complete
    \brief whether everything was restored.
*/

/*!
    \property AmqpQt::RecoveryReport::failures
    \brief the entries of \l failed as text.
*/

/*!
    \variable AmqpQt::RecoveryReport::failed
    \brief the exchanges, queues, bindings and consumers that could not be restored, with their errors.
*/

QStringList RecoveryReport::failures() const
{
    QStringList failures;
    for (const EntityFailure &failure : failed)
        failures += failure.toString();
    return failures;
}

} // namespace AmqpQt
