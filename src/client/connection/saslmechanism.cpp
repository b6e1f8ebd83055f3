// SPDX-License-Identifier: MIT
#include <AmqpQt/saslmechanism.h>

namespace AmqpQt
{

/*!
    \class AmqpQt::SaslMechanism
    \inheaderfile AmqpQt/SaslMechanism
    \inmodule AmqpQt
    \since 0.1
    \brief The SaslMechanism class is the base class of an application's own SASL mechanisms.

    The library has the mechanisms \c PLAIN, \c AMQPLAIN, \c EXTERNAL and \c ANONYMOUS. For another one, subclass this
    class and pass an object of it to ConnectionParameters::setMechanisms(). This is the demonstration mechanism of
    RabbitMQ, which asks for the password in a challenge:

    \code
    class CrDemo : public AmqpQt::SaslMechanism
    {
    public:
        QByteArray name() const override { return "RABBIT-CR-DEMO"; }
        QByteArray initialResponse() override { return "guest"; }
        std::optional<QByteArray> respond(const QByteArray &) override { return "My password is guest"; }
    };
    …
    parameters.setMechanisms({std::make_shared<CrDemo>()});
    \endcode

    At \c connection.start, a connection chooses the first of its mechanisms that the broker offers, and sends the
    initialResponse() in \c connection.start-ok. Each \c connection.secure of the broker is a challenge, whose response
    is sent in \c connection.secure-ok (AMQP 0-9-1, section 2.2.4).

    A connection calls initialResponse() and respond() in its thread, from the event loop. They must not throw. They may
   run a nested event loop or delete the connection. The time that they take counts towards
    ConnectionParameters::connectTimeout(). Several connections may share a mechanism if all of them live in one thread
    and its responses depend on nothing but the challenge.

    The library does not log responses, and wipes the bytes that it has written. It cannot wipe the copies that a
    subclass keeps.

    \sa ConnectionParameters::setMechanisms()
*/

/*!
    Constructs a mechanism.
*/
SaslMechanism::SaslMechanism() = default;

/*!
    Destroys the mechanism.
*/
SaslMechanism::~SaslMechanism() = default;

/*!
    \fn QByteArray AmqpQt::SaslMechanism::name() const

    Returns the name of the mechanism as the broker lists it, with 1 to 255 characters of printable ASCII except the
    space. ConnectionParameters::setMechanisms() calls this function, and keeps the name.
*/

/*!
    \fn QByteArray AmqpQt::SaslMechanism::initialResponse()

    Returns the response that \c connection.start-ok contains, which may be empty. The method must fit in one frame,
    together with the client properties, see ConnectionParameters::maximumInitialFrameSize(); with a larger response,
    the attempt to connect ends with ErrorKind::InvalidArgument. This function is called once for each
    endpoint at which the mechanism is chosen, so it is also the place to reset the state of an earlier dialogue.
*/

/*!
    \fn std::optional<QByteArray> AmqpQt::SaslMechanism::respond(const QByteArray &challenge)

    Returns the response to a \a challenge of the broker. Without one, \c std::nullopt, the attempt to connect ends with
    ErrorKind::Authentication. A response that does not fit in one frame, see
    ConnectionParameters::maximumInitialFrameSize(), ends it with ErrorKind::InvalidArgument.
*/

} // namespace AmqpQt
